package httpapi

import (
	_ "embed"
	"net/http"
)

// description is the interface in the terms of OpenAPI 3.1. Tests hold it and the routes
// together: of this package for paths, methods and parameters, of package node for what a real
// node answers.
//
//go:embed openapi.yaml
var description []byte

// getDescription answers with the description of the interface.
func (a *API) getDescription(x *exchange, _ *http.Request) {
	x.Header()["Content-Type"] = []string{"application/yaml"}
	x.send(http.StatusOK, description)
}
