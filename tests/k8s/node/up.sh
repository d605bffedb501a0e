#!/bin/bash
# Starts the one node of the test cluster in namespaces of its own, and waits until it is Ready. BIN and RUN are the
# folders of its programs and of what it writes; RUN holds the node's own images, too.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); export HERE BIN RUN
NODE=10.77.0.2 HOST=10.77.0.1
mkdir -p "$RUN"/{pki,etcd,logs,containerd,kubelet,podlogs,cni}
cd "$RUN/pki"
if [ ! -f ca.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 365 -subj /CN=datapipe-k8s-ca 2>/dev/null
  openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  cert() { # NAME SUBJECT EXT
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" -extfile <(echo "$3") 2>/dev/null; }
  cert apiserver /CN=kube-apiserver "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$NODE"
  cert kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client extendedKeyUsage=clientAuth
  cert proxy-client /CN=front-proxy-client extendedKeyUsage=clientAuth
  : > tokens.csv
  conf() { # FILE USER GROUP SERVER
    local t; t=$(openssl rand -hex 16); [ -z "$2" ] && return
    echo "$t,$2,$2,\"$3\"" >> tokens.csv
    cat > "$1" <<K
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$4:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: u, user: {token: $t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
K
  }
  conf admin.conf admin system:masters $NODE
  conf kcm.conf system:kube-controller-manager "" 127.0.0.1
  conf scheduler.conf system:kube-scheduler "" 127.0.0.1
  conf kubelet.conf system:node:node1 system:nodes 127.0.0.1
  conf proxy.conf system:kube-proxy "" 127.0.0.1
  conf router.conf kube-router system:masters 127.0.0.1
  conf metrics.conf metrics-server system:masters 127.0.0.1
fi
for c in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do mkdir -p /sys/fs/cgroup/$c/datapipe-k8s; done
cat /sys/fs/cgroup/cpuset/cpuset.cpus > /sys/fs/cgroup/cpuset/datapipe-k8s/cpuset.cpus; cat /sys/fs/cgroup/cpuset/cpuset.mems > /sys/fs/cgroup/cpuset/datapipe-k8s/cpuset.mems
setsid unshare --net --mount --uts --ipc --pid --fork --mount-proc bash "$HERE/node.sh" > "$RUN/logs/node.log" 2>&1 < /dev/null &
echo $! > "$RUN/outer.pid"
for i in $(seq 100); do P=$(pgrep -P "$(cat "$RUN/outer.pid")" || true); [ -n "$P" ] && break; sleep 0.1; done
echo "$P" > "$RUN/node.pid"
ip link add datapipe-k8s type veth peer name eth0 netns "$P"
ip addr add $HOST/24 dev datapipe-k8s; ip link set datapipe-k8s up
nsenter -t "$P" -n sh -c "ip addr add $NODE/24 dev eth0 && ip link set eth0 up"
touch "$RUN/net-ready"
export KUBECONFIG="$RUN/pki/admin.conf"
for i in $(seq 300); do [ "$(curl -sk -m 2 https://$NODE:6443/readyz || true)" = ok ] && break; sleep 0.3; done
kubectl wait --for=condition=Ready node/node1 --timeout=120s >/dev/null 2>&1 || { for i in $(seq 60); do kubectl get node node1 >/dev/null 2>&1 && break; sleep 1; done; kubectl wait --for=condition=Ready node/node1 --timeout=120s; }
kubectl get nodes -o wide
