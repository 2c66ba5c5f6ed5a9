//! What the labels of a series say, whichever exporter wrote it and whoever hands it on.

use std::borrow::Cow;

use crate::domain::pods::PodLabels;

/// Labels that every exporter shares, and those of whoever scrapes one.
pub const LABELS: [&str; 13] = [
    "hostname",
    "Hostname",
    "node",
    "kubernetes_node",
    "pod",
    "namespace",
    "container",
    // The exporter's old namespace.
    "pod_name",
    "pod_namespace",
    "container_name",
    "exported_pod",
    "exported_namespace",
    // Time-slicing.
    "vgpu",
];

/// A pod as labels name it.
#[derive(Debug, Default)]
pub struct PodName<'a> {
    /// Its namespace.
    pub namespace: Cow<'a, str>,
    /// Its name; empty for nobody.
    pub name: Cow<'a, str>,
}

/// The pod that holds a device, as a series says.
pub(super) struct HolderName<'s> {
    pub(super) namespace: &'s str,
    pub(super) name: &'s str,
    /// Whether it was told beside the exporter's own pod.
    pub(super) exported: bool,
}

/// What the labels of a series say.
#[derive(Debug, Default)]
pub struct Series<'a> {
    /// The device's UUID, or what stands for it.
    pub uuid: Option<Cow<'a, str>>,
    /// The slice of a split device.
    pub instance: Option<Cow<'a, str>>,
    /// What kind of slice.
    pub profile: Option<Cow<'a, str>>,
    /// The device's model.
    pub model: Option<Cow<'a, str>>,
    /// The node, as the exporter calls it.
    pub hostname: Option<Cow<'a, str>>,
    /// The node, as whoever scrapes the exporter calls it.
    pub node: Option<Cow<'a, str>>,
    /// The node, by a label that the configuration names.
    pub named_node: Option<Cow<'a, str>>,
    /// The pod that the exporter itself names.
    pub pod: PodName<'a>,
    /// The same under the names of the exporter's first release.
    pub old_pod: PodName<'a>,
    /// The same after a Prometheus put the exporter's own pod into `pod`.
    pub exported_pod: Option<Cow<'a, str>>,
    /// The same of the namespace.
    pub exported_namespace: Option<Cow<'a, str>>,
    /// The container beside the pod.
    pub container: Option<Cow<'a, str>>,
    /// Whether the series tells of a pod's part in a shared device.
    pub shared: bool,
    /// Which of the labels name the holder.
    pub pod_labels: PodLabels,
}

impl<'a> Series<'a> {
    /// Takes a label that every exporter shares. `name` is in lower case.
    pub fn common(&mut self, name: &[u8], value: Cow<'a, str>) {
        match name {
            b"hostname" => first(&mut self.hostname, value),
            b"node" | b"kubernetes_node" => first(&mut self.node, value),
            b"pod" => self.pod.name = value,
            b"namespace" => self.pod.namespace = value,
            b"pod_name" => self.old_pod.name = value,
            b"pod_namespace" => self.old_pod.namespace = value,
            b"exported_pod" => self.exported_pod = Some(value),
            b"exported_namespace" => first(&mut self.exported_namespace, value),
            b"container" | b"container_name" => first(&mut self.container, value),
            _ => {}
        }
    }

    /// The node. The host name of an exporter that is not told its node is its own pod's.
    pub(super) fn host(&self) -> Option<&str> {
        let own = self.hostname.as_deref().filter(|name| !is_exporter(name));
        self.named_node.as_deref().or(own).or(self.node.as_deref())
    }

    /// Whether the exporter's own pod stands in `pod`, so that it never names a holder.
    pub(super) fn is_exported(&self) -> bool {
        self.exported_pod.is_some() && self.pod_labels != PodLabels::Plain
    }

    /// The pod that holds the device, if the series names one.
    ///
    /// A Prometheus renames a label only where the target that it scrapes has one of the same
    /// name: without `exported_namespace` the namespace is the exporter's own word.
    pub(super) fn holder(&self) -> Option<HolderName<'_>> {
        let exported = self.exported_pod.as_deref().filter(|_| self.is_exported());
        let (name, namespace) = match exported {
            Some(name) => (name, &self.pod.namespace),
            None if self.pod_labels == PodLabels::Exported => return None,
            None if !self.old_pod.name.is_empty() => {
                (self.old_pod.name.as_ref(), &self.old_pod.namespace)
            }
            None => (self.pod.name.as_ref(), &self.pod.namespace),
        };
        let plain = self.pod_labels == PodLabels::Plain;
        let own_container = self.container.as_deref().filter(|_| exported.is_none());
        if name.is_empty()
            || !plain && (is_exporter(name) || own_container.is_some_and(is_exporter))
        {
            return None;
        }
        let renamed = self.exported_namespace.as_deref().filter(|_| !plain);
        let namespace = renamed.unwrap_or(namespace);
        Some(HolderName { namespace, name, exported: exported.is_some() })
    }
}

/// Sets what is not set: labels of pods, which an exporter may add to a series, come last.
pub fn first<'a>(slot: &mut Option<Cow<'a, str>>, value: Cow<'a, str>) {
    if slot.is_none() && !value.is_empty() {
        *slot = Some(value);
    }
}

/// Whether a pod or a container is an exporter. It looks at GPUs and holds none; its name stands in
/// `pod` where a Prometheus wrote it over the exporter's own label of a GPU that nobody holds.
fn is_exporter(name: &str) -> bool {
    name.contains("dcgm-exporter") || name.contains("metrics-exporter")
}
