// Package limit rewrites queries as the product does.
package limit

import "net/http"

// Apply adds the selector to a list, watch or deletecollection of pods.
func Apply(r *http.Request, verb, resource, selector string) {
	if resource != "pods" {
		return
	}
	switch verb {
	case "list", "watch", "deletecollection":
	default:
		return
	}
	query := r.URL.Query()
	if own := query.Get("labelSelector"); own != "" {
		selector = own + "," + selector
	}
	query.Set("labelSelector", selector)
	r.URL.RawQuery = query.Encode()
}
