"""A real Kubernetes node on one machine: control plane, kubelet, containerd, networks with policies, no registry.

`hack/cluster` is the door. Everything of the cluster lives inside one set of Linux namespaces (processes, mounts,
network) below one process, and in one folder. So the machine's own firewall rules, mount table and process tree never
see it, and its end is the end of that one process: the kernel takes away the rest, whatever state it was in.

Read it in this order: `parts` (where the programs come from), `machine` (what must be there beforehand), `addresses`,
`credentials` (certificates, tokens, kubeconfigs), `configuration` (the files that the servers read), `programs` (their
command lines), `policies` (what enforces NetworkPolicies), `inside` (the first process, which keeps the others
running), `outside` (the machine's end of the wire, control groups), `node` (up, down, status) with its `record`,
`leftovers` (what a cluster could have left on the machine), `archives` and `addons` (images of one program, CoreDNS),
`trial` (images brought in, and tests/node). `fleet` needs none of this: it is a cluster of which only the control plane
is real, for tests/fleet. `images`, `imagebase`, `builder` and `imagetrial` build our own images (`hack/images`);
`earlier` finds the version before in the history, and builds that one's.
"""
