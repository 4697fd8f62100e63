// The program of every pod's first container: it holds the pod's namespaces open.
module velum.dev/hack/gotools/pause

go 1.26.0
