/* A stand-in for NVIDIA's driver library: four GPUs, built from NVIDIA's own header.
 *
 * A file, named at build time, orders what goes wrong. Its lines: "no_driver", "mismatch",
 * "lost <index>", "gone <index>" (the handle is refused too), "count <number>", "hang" (until the
 * line is gone), "current" (a driver since R470, which names slices by a UUID of each compute
 * instance). Each counting of the GPUs is noted in a file beside it. OLD_DRIVER leaves out what
 * drivers before R510 do not have. */
#include <nvml.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct nvmlDevice_st {
    unsigned int index;  /* of the device that it is, or is a slice of */
    int slice;           /* -1 for a whole device */
    const char *name;
    const char *uuid;
    unsigned long long total, reserved, free;  /* MiB */
};

static struct nvmlDevice_st devices[] = {
    {0, -1, "NVIDIA H100 80GB HBM3", "GPU-00000000-0000-0000-0000-000000000000", 81559, 559, 21000},
    {1, -1, "NVIDIA A100-SXM4-40GB", "GPU-11111111-1111-1111-1111-111111111111", 40960, 512, 100},
    {2, -1, "Tesla K80", "GPU-22222222-2222-2222-2222-222222222222", 11441, 0, 11441},
    {3, -1, "NVIDIA H100 80GB HBM3", "GPU-33333333-3333-3333-3333-333333333333", 81559, 559, 81000},
};

/* The second is the same GPU instance as the first: two compute instances of one slice. */
static struct nvmlDevice_st slices[] = {
    {1, 0, "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "MIG-GPU-11111111-1111-1111-1111-111111111111/2/0", 19968, 64, 9904},
    {1, 1, "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "MIG-GPU-11111111-1111-1111-1111-111111111111/2/1", 19968, 64, 9904},
    {1, 3, "NVIDIA A100-SXM4-40GB MIG 2g.10gb", "MIG-c7384736-a75d-5afc-978f-d2f1294409fd", 9984, 32, 9952},
};

/* The same of a driver since R470: 1c of a GPU instance, 2c of it, and another one. */
static struct nvmlDevice_st current_slices[] = {
    {1, 0, "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "MIG-aaaaaaaa-a75d-5afc-978f-d2f1294409fd", 19968, 64, 9904},
    {1, 1, "NVIDIA A100-SXM4-40GB MIG 2c.3g.20gb", "MIG-bbbbbbbb-a75d-5afc-978f-d2f1294409fd", 19968, 64, 9904},
    {1, 3, "NVIDIA A100-SXM4-40GB MIG 2g.10gb", "MIG-cccccccc-a75d-5afc-978f-d2f1294409fd", 9984, 32, 9952},
};

/* Whether a line of the file says so; its number goes to `value`. */
static int ordered(const char *word, unsigned int *value) {
    FILE *orders = fopen(ORDERS, "r");
    char line[64], said[32];
    unsigned int number = 0;
    int found = 0;
    while (orders && !found && fgets(line, sizeof line, orders)) {
        int fields = sscanf(line, "%31s %u", said, &number);
        if (fields < 1 || strcmp(said, word) != 0)
            continue;
        found = fields == 1 || *value == number || strcmp(word, "count") == 0;
    }
    if (orders)
        fclose(orders);
    if (found)
        *value = number;
    return found;
}

static nvmlReturn_t state(nvmlDevice_t device) {
    unsigned int index = device->index;
    return ordered("lost", &index) || ordered("gone", &index) ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

static nvmlReturn_t text(const char *from, char *to, unsigned int length) {
    if (strlen(from) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, from);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
    unsigned int none = 0;
    if (ordered("no_driver", &none))
        return NVML_ERROR_DRIVER_NOT_LOADED;
    return ordered("mismatch", &none) ? NVML_ERROR_LIB_RM_VERSION_MISMATCH : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    return text("550.127.05", version, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    unsigned int none = 0;
    FILE *calls = fopen(ORDERS ".calls", "a");
    if (calls) {
        fputs("count\n", calls);
        fclose(calls);
    }
    while (ordered("hang", &none))
        usleep(10 * 1000);
    if (!ordered("count", count))
        *count = sizeof devices / sizeof *devices;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    unsigned int asked = index;
    if (index >= sizeof devices / sizeof *devices)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (ordered("gone", &asked))
        return NVML_ERROR_GPU_IS_LOST;
    *device = &devices[index];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    nvmlReturn_t now = state(device);
    return now == NVML_SUCCESS ? text(device->name, name, length) : now;
}

/* The driver knows the UUID of a device that it has lost. */
EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    return text(device->uuid, uuid, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
    nvmlReturn_t now = state(device);
    if (now != NVML_SUCCESS)
        return now;
    if (device->slice >= 0 || device->index == 1 || device->index == 2)
        return NVML_ERROR_NOT_SUPPORTED;
    rates->gpu = device->index == 0 ? 37 : 0;
    rates->memory = 12;
    return NVML_SUCCESS;
}

#ifndef OLD_DRIVER
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    nvmlReturn_t now = state(device);
    if (now != NVML_SUCCESS)
        return now;
    if (memory->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memory->total = device->total << 20;
    memory->reserved = device->reserved << 20;
    memory->free = device->free << 20;
    /* The header's note: the reserve is told separately and is part of what is used. */
    memory->used = memory->total - memory->free;
    return NVML_SUCCESS;
}
#endif

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *now, unsigned int *pending) {
    nvmlReturn_t lost = state(device);
    if (lost != NVML_SUCCESS)
        return lost;
    if (device->index == 2)
        return NVML_ERROR_NOT_SUPPORTED;
    *now = *pending = device->index == 1 ? NVML_DEVICE_MIG_ENABLE : NVML_DEVICE_MIG_DISABLE;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
    *count = device->index == 1 ? 7 : 0;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
                                                        nvmlDevice_t *slice) {
    unsigned int none = 0;
    int is_current = ordered("current", &none);
    struct nvmlDevice_st *told = is_current ? current_slices : slices;
    unsigned int count = is_current ? sizeof current_slices / sizeof *current_slices : sizeof slices / sizeof *slices;
    for (unsigned int one = 0; device->index == 1 && one < count; one++)
        if (told[one].slice == (int)index) {
            *slice = &told[one];
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}
