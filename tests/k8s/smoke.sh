#!/usr/bin/env bash
# Tries what the tests of a deployment rely on; the cluster is up. Each line says what was expected and what came.
set -euo pipefail
failed=0
expect() { # WHAT EXPECTED FOUND
    if [ "$2" = "$3" ]; then echo "ok: $1: $3"; else echo "FAILED: $1: expected $2, found $3"; failed=1; fi
}
cluster() { "$(dirname "$0")/../../scripts/k8s" "$@"; }

kubectl create namespace smoke > /dev/null
trap 'kubectl delete namespace smoke --wait=false > /dev/null' EXIT
kubectl -n smoke apply --server-side -f - > /dev/null <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: localhost/busybox:1
    imagePullPolicy: Never
    command: [sh, -c, "mkdir -p /tmp/w; echo hello > /tmp/w/index.html; httpd -f -p 8080 -h /tmp/w"]
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {type: NodePort, selector: {app: server}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "localhost/busybox:1", imagePullPolicy: Never, command: [sleep, "9999"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: localhost/busybox:1
    imagePullPolicy: Never
    command: [sh, -c, "tail /dev/zero"]
    resources: {limits: {memory: 32Mi}}
Y
kubectl -n smoke wait --for=condition=Ready pod/server pod/client --timeout=60s > /dev/null
address=$(kubectl -n smoke get svc server -o jsonpath='{.spec.clusterIP}')
ask() { kubectl -n smoke exec client -- timeout 3 wget -q -O - "http://$address/" 2> /dev/null || echo blocked; }
node_port() { cluster inside curl -s -m 3 http://127.0.0.1:30080/ || echo blocked; }

# A pod is ready a moment before its Service knows it.
for _ in $(seq 10); do [ "$(ask)" = hello ] && break; sleep 0.5; done
expect "a pod reaches a service" hello "$(ask)"
expect "a NodePort answers on the node's loopback" hello "$(node_port)"
expect "DNS knows the service" "$address" \
    "$(kubectl -n smoke exec client -- nslookup server.smoke.svc.cluster.local 10.96.0.10 2> /dev/null |
        awk '/^Address/ { last = $NF } END { print last }')"
for _ in $(seq 30); do
    reason=$(kubectl -n smoke get pod hungry -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}')
    [ -n "$reason" ] && break
    sleep 1
done
expect "a pod that passes its memory limit" OOMKilled "${reason:-still there}"

# It looks every 10 s, and twice before it tells.
for _ in $(seq 45); do
    told=$(kubectl get --raw /apis/metrics.k8s.io/v1beta1/namespaces/smoke/pods/server 2> /dev/null |
        grep -c '"memory":"[0-9]*Ki"' || true)
    [ "$told" = 1 ] && break
    sleep 1
done
expect "containers of which metrics-server tells the memory" 1 "$told"

kubectl -n smoke apply --server-side -f - > /dev/null <<'Y'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
Y
sleep 3
expect "a policy that denies" blocked "$(ask)"
kubectl -n smoke apply --server-side -f - > /dev/null <<'Y'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: client}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]
Y
sleep 3
expect "a policy that allows one pod" hello "$(ask)"
exit $failed
