package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults of Config.
const (
	DefaultEndpoint = "http://127.0.0.1:8098"

	defaultTimeout  = 15 * time.Second
	defaultRetries  = 3
	defaultCooldown = 5 * time.Second
)

// Limits of the client's own transport.
const (
	// maxIdlePerEndpoint lets as many concurrent callers keep their connections. The default of
	// net/http is 2, with which a busy client spends its time in connecting.
	maxIdlePerEndpoint = 1024
	idleTimeout        = 90 * time.Second
	// dialTimeout is short because another endpoint usually answers sooner.
	dialTimeout = 3 * time.Second
	// continueTimeout is how long a large value waits for the server's consent.
	continueTimeout = time.Second
)

// Config says where the cluster is and how patient the client should be. The zero value
// works against one node on this machine.
type Config struct {
	// Endpoints are base URLs of nodes, such as "http://10.0.0.1:8098"; without a scheme http
	// is meant. Empty means DefaultEndpoint.
	Endpoints []string
	// HTTPClient sends the requests; nil means a client with connection pooling for many
	// concurrent callers. A client given here should set no Timeout of its own.
	HTTPClient *http.Client
	// TLS is for endpoints with https: authorities, server name, a certificate of the client. It is
	// copied. nil means the system's authorities. It goes with the client's own transport only.
	TLS *tls.Config
	// Token is sent as a bearer token with every request. It needs https, unless an endpoint is
	// on this machine: anyone on the way could read it.
	Token string
	// Timeout limits one attempt; the server is told, so that it gives up in time. 0 means 15 s.
	Timeout time.Duration
	// Retries is how many attempts may follow the first one; 0 means 3, a negative number none.
	Retries int
	// Cooldown is how long an endpoint is left alone after it failed, as long as there is another
	// one; 0 means 5 s.
	Cooldown time.Duration
	// HedgeAfter is how long a Get or Head waits for one endpoint before it asks a second one as
	// well; the first answer counts. 0 means never. Take about the 95th percentile of what reads
	// take: then one read in twenty costs twice, and a slow node is felt that long at most.
	HedgeAfter time.Duration
}

// withDefaults returns the configuration with its zero fields replaced.
func (c Config) withDefaults() Config {
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{DefaultEndpoint}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Retries == 0 {
		c.Retries = defaultRetries
	}
	if c.Cooldown == 0 {
		c.Cooldown = defaultCooldown
	}
	return c
}

// Client talks to one cluster. It is safe for concurrent use; Close ends it.
type Client struct {
	cfg       Config
	http      *http.Client
	own       *http.Transport // nil when the caller brought the HTTP client
	endpoints *endpoints
}

// New returns a client for the cluster that cfg names. It connects to nothing yet. All
// problems of cfg are reported together.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	var problems []error
	bases := make([]string, 0, len(cfg.Endpoints))
	for _, e := range cfg.Endpoints {
		base, err := parseEndpoint(e)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		bases = append(bases, base)
	}
	if cfg.Timeout < 0 {
		problems = append(problems, fmt.Errorf("client: the timeout %v is negative", cfg.Timeout))
	}
	if cfg.Cooldown < 0 {
		problems = append(problems, fmt.Errorf("client: the cooldown %v is negative", cfg.Cooldown))
	}
	if cfg.HedgeAfter < 0 {
		problems = append(problems, fmt.Errorf("client: the delay %v of hedged reads is negative", cfg.HedgeAfter))
	}
	if cfg.TLS != nil && cfg.HTTPClient != nil {
		problems = append(problems, errors.New("client: a TLS configuration goes with the client's own transport; set it in that of HTTPClient"))
	}
	problems = append(problems, checkToken(cfg.Token, bases)...)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: cfg.HTTPClient, endpoints: newEndpoints(bases, cfg.Cooldown)}
	if c.http == nil {
		c.own = newTransport(cfg.TLS)
		c.http = &http.Client{Transport: c.own, CheckRedirect: keepRedirect}
	}
	return c, nil
}

// Close drops the idle connections of the client's own transport; requests that still run
// are not touched. It may be called twice.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// newTransport returns a pooled transport. Values arrive as they were stored: no transparent
// decompression.
func newTransport(security *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		MaxIdleConns:          0, // no limit beyond the one per endpoint
		MaxIdleConnsPerHost:   maxIdlePerEndpoint,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: continueTimeout,
		DisableCompression:    true,
		TLSClientConfig:       security.Clone(), // of nil: nil
	}
}

// checkToken returns what is wrong with sending the token to the endpoints.
func checkToken(token string, bases []string) []error {
	if token == "" {
		return nil
	}
	// The token itself stays out of the errors, which end up in logs.
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return []error{errors.New("client: the token has a character that a header cannot carry")}
	}
	var problems []error
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil || u.Scheme == "https" {
			continue // no error: the base was parsed before
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			problems = append(problems, fmt.Errorf("client: the endpoint %s has no TLS, so anyone on the way could read the token; use https", base))
		}
	}
	return problems
}

// keepRedirect returns a redirect to the caller as an answer: nodes never redirect, so one
// means that the endpoint is something else.
func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// parseEndpoint returns the base URL of an endpoint without a trailing slash.
func parseEndpoint(s string) (string, error) {
	s = strings.TrimSpace(s)
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", fmt.Errorf("client: the endpoint %q is not an http or https URL such as %s", s, DefaultEndpoint)
	}
	if u.User != nil {
		// It would end up in error messages and logs.
		return "", fmt.Errorf("client: the endpoint of %s must not carry a user name or password", u.Host)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("client: the endpoint %q must end before a query or fragment", s)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// NewRequestID returns a fresh random request id: 32 hex digits.
func NewRequestID() string {
	var id [16]byte
	// crypto/rand.Read never fails: it ends the process if the system has no randomness.
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// GetJSON reads one of the cluster's JSON resources, such as "/cluster", and decodes it into v.
// An error other than failing to reach an endpoint is a *StatusError or the decoder's.
func (c *Client) GetJSON(ctx context.Context, path string, query url.Values, v any) error {
	rep, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, accept: "application/json"})
	if err != nil {
		return err
	}
	if rep.status != http.StatusOK {
		return rep.statusError()
	}
	if err := json.Unmarshal(rep.body, v); err != nil {
		return fmt.Errorf("client: decode the answer of %s%s: %w", rep.endpoint, path, err)
	}
	return nil
}
