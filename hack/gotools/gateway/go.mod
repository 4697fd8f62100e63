// The Gateway API's resource types, whose definitions the chart's tests read out of the module. Nothing is built.
module velum.dev/hack/gotools/gateway

go 1.26.0

require sigs.k8s.io/gateway-api v1.4.0
