package httpapi

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
)

// API serves the HTTP interface of one node. It is an http.Handler, safe for concurrent use,
// with no goroutine that outlives its request and nothing to close.
type API struct {
	cfg         Config
	router      *mux.Router
	metrics     *metrics
	exposition  http.Handler // of the metrics
	exchanges   sync.Pool
	batches     atomic.Int64 // under way
	bodies      atomic.Int64 // bytes of bodies in memory, at most bodyRoom
	bodyRoom    int64
	lists       chan struct{} // one for each list under way
	compressors *compressors
	paths       map[string]string // every path that there is, with the methods that Allow names; for tests
}

// New returns an API over the parts that cfg names.
func New(cfg Config) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	a := &API{cfg: cfg, bodyRoom: maxBodies, metrics: newMetrics(cfg.Node), lists: make(chan struct{}, maxLists), compressors: newCompressors()}
	a.exposition = a.metrics.handler()
	a.exchanges.New = func() any { return &exchange{api: a, match: mux.RouteMatch{Vars: map[string]string{}}} }
	a.paths = map[string]string{}
	a.router = a.routes()
	return a, nil
}

// ServeHTTP answers one request and counts it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := a.exchanges.Get().(*exchange)
	x.ResponseWriter, x.start, x.head = w, time.Now(), r.Method == http.MethodHead
	defer x.finish(r)
	r, err := canonical(r)
	if err != nil {
		x.refuse(bad(badPath, err.Error()))
		return
	}
	// The router's own ServeHTTP would copy the request twice to hand on what it found.
	if a.router.Match(r, &x.match) {
		x.match.Handler.ServeHTTP(x, r)
	}
}

// finish counts the request and gives x back. A panic is a bug: it is logged and answered if
// nothing was sent yet, and the process lives on, as it holds data that the other requests need.
func (x *exchange) finish(r *http.Request) {
	if x.taken > 0 {
		x.api.bodies.Add(-x.taken)
	}
	if v := recover(); v == http.ErrAbortHandler { // the answer shall be seen not to be whole
		x.api.metrics.count(x.op, x.status, time.Since(x.start))
		panic(v)
	} else if v != nil {
		x.api.cfg.Logger.Error("panic", "method", r.Method, "path", r.URL.EscapedPath(), "err", fmt.Sprint(v), "stack", string(debug.Stack()))
		if x.status != 0 {
			x.api.metrics.count(x.op, http.StatusInternalServerError, time.Since(x.start))
			panic(http.ErrAbortHandler) // part of the answer is out: only a cut connection says that it is not whole
		}
		x.Header()["Connection"] = []string{"close"}
		x.text(http.StatusInternalServerError, "Error:\ninternal error\n")
	}
	x.api.metrics.count(x.op, x.status, time.Since(x.start))
	x.release()
}

// action is what a resource does for one method.
type action struct {
	op    op
	serve func(*API, *exchange, *http.Request)
}

// resource is an http.Handler that chooses the action by method. GET also answers HEAD.
type resource struct {
	api     *API
	actions map[string]action
	allow   string // the methods, for the header
}

// methods is the order in which Allow names them.
var methods = [...]string{http.MethodHead, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

func (a *API) resource(actions map[string]action) *resource {
	if get, ok := actions[http.MethodGet]; ok {
		actions[http.MethodHead] = get
	}
	var names []string
	for _, m := range methods {
		if _, ok := actions[m]; ok {
			names = append(names, m)
		}
	}
	return &resource{a, actions, strings.Join(names, ", ")}
}

// ServeHTTP is called by the router, whose ResponseWriter is the exchange.
func (s *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := w.(*exchange)
	act, ok := s.actions[r.Method]
	if !ok {
		if !known(r.Method) {
			x.refuseMethod(http.StatusNotImplemented, fmt.Sprintf("no resource knows the method %.32s\n", r.Method))
			return
		}
		// Below a bucket type that does not exist nothing does.
		if key, f := pathKey(x); f == nil {
			if f = s.api.checkType(key); f != nil {
				x.refuse(*f)
				return
			}
		}
		x.Header()["Allow"] = []string{s.allow}
		x.refuseMethod(http.StatusMethodNotAllowed, "this resource has no "+r.Method+"\n")
		return
	}
	x.op = act.op
	act.serve(s.api, x, r)
}

// routes names all resources. The router sees the path as it was sent and cleans nothing, so
// a segment may hold any escaped byte; canonical has dropped empty segments before.
func (a *API) routes() *mux.Router {
	onObject := map[string]action{
		http.MethodGet:    {opGet, (*API).getObject},
		http.MethodPut:    {opPut, (*API).putObject},
		http.MethodPost:   {opPut, (*API).putObject},
		http.MethodDelete: {opDelete, (*API).deleteObject},
	}
	object := a.resource(onObject)
	keys := a.resource(map[string]action{
		http.MethodGet:  {opList, (*API).getKeys},
		http.MethodPost: {opPut, (*API).putObject},
	})
	buckets := a.resource(map[string]action{http.MethodGet: {opList, (*API).getBuckets}})
	batch := a.resource(map[string]action{http.MethodPost: {opBatch, (*API).postBatch}})
	typeProperties := a.resource(map[string]action{
		http.MethodGet: {opProps, (*API).getTypeProps},
		http.MethodPut: {opProps, (*API).putTypeProps},
	})
	properties := a.resource(map[string]action{
		http.MethodGet:    {opProps, (*API).getProps},
		http.MethodPut:    {opProps, (*API).putProps},
		http.MethodDelete: {opProps, (*API).deleteProps},
	})
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	handle := func(path string, s *resource) {
		r.MatcherFunc(newTemplate(path).matcher).Handler(s)
		a.paths[path] = s.allow
	}
	// Objects first: the router tries one route after the other.
	for _, root := range []string{"", "/types/{type}"} {
		handle(root+"/buckets/{bucket}/keys/{key}", object)
		handle(root+"/buckets/{bucket}/keys", keys)
		handle(root+"/buckets/{bucket}/props", properties)
		handle(root+"/buckets/{bucket}/batch", batch)
		handle(root+"/buckets", buckets)
	}
	for path, s := range a.oldResources(onObject) {
		handle(path, s)
	}
	handle("/types/{type}/props", typeProperties)
	for _, page := range []struct {
		path  string
		op    op
		serve func(*API, *exchange, *http.Request)
	}{
		{"/", opService, (*API).getRoot},
		{"/types", opProps, (*API).getTypes},
		{"/ping", opService, (*API).getPing},
		{"/stats", opService, (*API).getStats},
		{"/livez", opService, (*API).getLive},
		{"/readyz", opService, (*API).getReady},
		{"/metrics", opService, (*API).getMetrics},
		{"/openapi.yaml", opService, (*API).getDescription},
		{"/cluster", opCluster, (*API).getCluster},
		{"/cluster/explain", opCluster, (*API).getExplain},
		{"/cluster/latencies", opCluster, (*API).getLatencies},
	} {
		s := a.resource(map[string]action{http.MethodGet: {page.op, page.serve}})
		r.Handle(page.path, s)
		a.paths[page.path] = s.allow
	}
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(*exchange).jsonError(http.StatusNotFound, "there is no such resource")
	})
	return r
}
