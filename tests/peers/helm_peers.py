"""What replicas share, on this machine: a PostgreSQL server, and the Leases of an API server."""

import contextlib
import http.server
import json
import os
import pathlib
import pwd
import secrets
import shutil
import subprocess
import tempfile
import threading


def plain_user():
    """Who runs PostgreSQL, which refuses to be root's."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def missing():
    """What replicas need and this machine has not."""
    if "COSTBAND_PEERS_POSTGRES" not in os.environ:
        return "there is no PostgreSQL, which scripts/peers installs"
    return None


@contextlib.contextmanager
def database(address):
    """A server at port 5432 of an address; the password of its user `postgres`."""
    programs, as_user = pathlib.Path(os.environ["COSTBAND_PEERS_POSTGRES"]), plain_user()
    password = secrets.token_hex(16)
    folder = tempfile.mkdtemp()
    try:
        data, file = os.path.join(folder, "data"), os.path.join(folder, "password")
        pathlib.Path(file).write_text(password)
        if as_user:
            for path in (folder, file):
                os.chown(path, as_user["user"], as_user["group"])
        run = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, **as_user}
        made = ["-D", data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={file}", "--no-sync"]
        subprocess.run([programs / "initdb", *made], **run)
        options = f"-c listen_addresses={address} -c port=5432 -c unix_socket_directories= -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
        subprocess.run([*control, "-l", os.path.join(folder, "log"), "-o", options, "start"], **run)
        try:
            yield password
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Leases(http.server.BaseHTTPRequestHandler):
    """The part of the API server that keeps Leases, with its optimistic locking."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def reply(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, reason):
        self.reply(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})

    def keep(self, name, lease):
        self.server.version += 1
        lease["metadata"]["resourceVersion"] = str(self.server.version)
        lease["metadata"].setdefault("uid", f"uid-{self.server.version}")
        self.server.leases[name] = lease
        return lease

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def name(self):
        before, _, rest = self.path.partition("?")[0].partition("/leases")
        if before != "/apis/coordination.k8s.io/v1/namespaces/finops":
            return None
        return rest.strip("/")

    def do_GET(self):
        with self.lock:
            found = self.server.leases.get(self.name())
        self.reply(200, found) if found else self.refuse(404, "NotFound")

    def do_POST(self):
        lease = self.body()
        with self.lock:
            name = lease["metadata"]["name"]
            if self.name() != "":
                return self.refuse(404, "NotFound")
            if name in self.server.leases:
                return self.refuse(409, "AlreadyExists")
            lease = self.keep(name, lease)
        self.reply(201, lease)

    def do_PUT(self):
        lease = self.body()
        with self.lock:
            old = self.server.leases.get(self.name())
            if not old:
                return self.refuse(404, "NotFound")
            if lease["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                return self.refuse(409, "Conflict")
            lease = self.keep(self.name(), lease)
        self.reply(200, lease)


@contextlib.contextmanager
def leases(address):
    """An API server of Leases; the kubeconfig that reaches it."""
    server = http.server.ThreadingHTTPServer((address, 0), Leases)
    server.leases, server.version, server.daemon_threads = {}, 0, True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    named = {"cluster": "here", "user": "agent"}
    try:
        yield json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": f"http://{address}:{server.server_port}"}}],
                "users": [{"name": "agent", "user": {"token": "agent"}}],
                "contexts": [{"name": "here", "context": named}],
            }
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
