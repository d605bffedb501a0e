#!/bin/bash
# The first process of the node's namespaces: starts every daemon, and reaps.
set -u
while [ ! -e "$RUN/net-ready" ]; do sleep 0.1; done; rm -f "$RUN/net-ready"
hostname node1
ip link set lo up; ip link add blackhole0 type bridge; ip link set blackhole0 arp off up; ip addr add 198.51.100.1/32 dev blackhole0; ip route add default dev blackhole0   # nothing leaves the machine
mkdir -p "$RUN/cg"; mount --rbind /sys/fs/cgroup "$RUN/cg"; mount -t sysfs sysfs /sys; mount --move "$RUN/cg" /sys/fs/cgroup
mount --make-rshared /
mount -t tmpfs tmpfs /run; mkdir -p /run/lock /run/netns
bindto() { mkdir -p "$2" && mount --bind "$1" "$2"; }
bindto "$RUN/containerd" /var/lib/containerd; bindto "$RUN/kubelet" /var/lib/kubelet; bindto "$RUN/podlogs" /var/log/pods; bindto "$RUN/cni" /var/lib/cni
mkdir -p /var/log/containers && mount -t tmpfs tmpfs /var/log/containers
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 2>/dev/null
P=$RUN/pki; L=$RUN/logs
etcd --data-dir "$RUN/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --log-level warn > $L/etcd.log 2>&1 &
mkdir -p /run/containerd
cat > /run/containerd.toml <<C
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.devmapper","io.containerd.tracing.processor.v1.otlp","io.containerd.internal.v1.tracing"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
C
mkdir -p /run/cni.d; cat > /run/cni.d/10-datapipe.conflist <<C
{"cniVersion": "0.4.0", "name": "datapipe", "plugins": [
  {"type": "ptp", "ipMasq": true, "mtu": 1400, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
containerd -c /run/containerd.toml > $L/containerd.log 2>&1 &
$BIN/node kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address=10.77.0.2 --secure-port=6443 \
  --tls-cert-file=$P/apiserver.crt --tls-private-key-file=$P/apiserver.key --client-ca-file=$P/ca.crt \
  --service-account-key-file=$P/sa.pub --service-account-signing-key-file=$P/sa.key --service-account-issuer=https://kubernetes.default.svc \
  --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --token-auth-file=$P/tokens.csv \
  --kubelet-client-certificate=$P/kubelet-client.crt --kubelet-client-key=$P/kubelet-client.key --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file=$P/ca.crt --requestheader-allowed-names=front-proxy-client --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
  --proxy-client-cert-file=$P/proxy-client.crt --proxy-client-key-file=$P/proxy-client.key --allow-privileged=true > $L/apiserver.log 2>&1 &
until [ "$(curl -sk -m 2 https://127.0.0.1:6443/readyz)" = ok ]; do sleep 0.2; done
$BIN/node kube-controller-manager --kubeconfig=$P/kcm.conf --use-service-account-credentials --service-account-private-key-file=$P/sa.key --root-ca-file=$P/ca.crt \
  --allocate-node-cidrs --cluster-cidr=10.244.0.0/16 --service-cluster-ip-range=10.96.0.0/16 --leader-elect=false --bind-address=127.0.0.1 > $L/kcm.log 2>&1 &
$BIN/node kube-scheduler --kubeconfig=$P/scheduler.conf --leader-elect=false --bind-address=127.0.0.1 > $L/scheduler.log 2>&1 &
cat > /run/kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /datapipe-k8s
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: /dev/null
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
localStorageCapacityIsolation: false
C
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done
ctr -n k8s.io images import "$RUN/node.tar" > $L/import.log 2>&1
$BIN/node kubelet --config=/run/kubelet.yaml --kubeconfig=$P/kubelet.conf --hostname-override=node1 --node-ip=10.77.0.2 --cert-dir=/var/lib/kubelet/pki > $L/kubelet.log 2>&1 &
cat > /run/kube-proxy.yaml <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $P/proxy.conf}
clusterCIDR: 10.244.0.0/16
hostnameOverride: node1
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
$BIN/node kube-proxy --config=/run/kube-proxy.yaml > $L/kube-proxy.log 2>&1 &
sup() { while :; do "$@"; echo "exit $?, again" >&2; sleep 1; done; }
sup $BIN/node policies $P/router.conf node1 10.96.0.0/16 > $L/policies.log 2>&1 &
# It ends where the kubelet does not answer yet.
sup $BIN/node metrics-server --kubeconfig=$P/metrics.conf --authentication-kubeconfig=$P/metrics.conf --authorization-kubeconfig=$P/metrics.conf \
  --bind-address=10.77.0.2 --secure-port=4443 --cert-dir=/run/metrics-server --kubelet-insecure-tls --kubelet-preferred-address-types=InternalIP \
  --metric-resolution=10s --kubelet-request-timeout=5s > $L/metrics.log 2>&1 &
wait
while :; do sleep 3600; done
