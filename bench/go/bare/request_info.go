package main

import (
	"net/http"
	"strings"

	"ctrlmesh/bench/internal/limit"
)

// requestInfo says what a request of the Kubernetes API is about.
type requestInfo struct {
	verb, group, version, namespace, resource, name string
}

var verbs = map[string]string{
	http.MethodPost:   "create",
	http.MethodGet:    "get",
	http.MethodHead:   "get",
	http.MethodPut:    "update",
	http.MethodPatch:  "patch",
	http.MethodDelete: "delete",
}

// parse reads the path /api/VERSION or /apis/GROUP/VERSION, then [namespaces/NAMESPACE/]RESOURCE[/NAME...]. The
// second result is false for a path that names no resource.
func parse(r *http.Request) (requestInfo, bool) {
	info := requestInfo{verb: verbs[r.Method]}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		info.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		info.group, info.version, parts = parts[1], parts[2], parts[3:]
	default:
		return info, false
	}
	if parts[0] == "watch" && len(parts) > 1 {
		info.verb, parts = "watch", parts[1:]
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		info.namespace, parts = parts[1], parts[2:]
	}
	info.resource = parts[0]
	if len(parts) > 1 {
		info.name = parts[1]
	}
	if info.name == "" && info.verb == "get" {
		info.verb = "list"
		if isTrue(r.URL.Query().Get("watch")) {
			info.verb = "watch"
		}
	}
	if info.name == "" && info.verb == "delete" {
		info.verb = "deletecollection"
	}
	return info, true
}

func isTrue(value string) bool {
	return value != "" && value != "false" && value != "0"
}

// addSelector adds the selector to what shows many pods.
func addSelector(r *http.Request, selector string) {
	info, ok := parse(r)
	if ok && info.group == "" {
		limit.Apply(r, info.verb, info.resource, selector)
	}
}
