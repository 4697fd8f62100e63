// The program of every pod's first container: it holds the pod's namespaces open. The only Go code of ours.
module velum.dev/hack/gotools/pause

go 1.26.0
