package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// ServerConfig bounds what one connection may take. A zero field means its default.
type ServerConfig struct {
	HeaderTimeout  time.Duration // until the header of a request has come; default 10 s
	ReadTimeout    time.Duration // until the body has come, too; default 60 s
	WriteTimeout   time.Duration // from the header until the answer is sent; default 7 min: MaxTimeout, a body that comes slowly, an answer that goes slowly
	IdleTimeout    time.Duration // between two requests of a connection; default 2 min
	MaxHeaderBytes int           // of a request, its first line included; default 256 KiB, more is 431
	Logger         *slog.Logger
}

// WithDefaults returns c with the defaults in place of zero fields.
func (c ServerConfig) WithDefaults() ServerConfig {
	if c.HeaderTimeout == 0 {
		c.HeaderTimeout = 10 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = time.Minute
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 7 * time.Minute
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 2 * time.Minute
	}
	if c.MaxHeaderBytes == 0 {
		// Room for 64 KiB of metadata, a key of 4 KiB in percent-encoding, and a context
		// of some thousand entries.
		c.MaxHeaderBytes = 256 << 10
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// NewServer returns a server for handler that no slow or silent client can hold up for
// longer than cfg says. The caller gives it a listener and stops it.
func NewServer(handler http.Handler, cfg ServerConfig) *http.Server {
	cfg = cfg.WithDefaults()
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
}
