package client_test

import (
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/client"
)

// No timeout makes a call hang: one that cannot be meant is refused, one that is longer than
// any request takes is cut to what the server reads.
func TestExtremeTimeouts(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		want    error
	}{
		{-1, client.ErrBadRequest}, {math.MinInt64, client.ErrBadRequest},
		{1, nil}, {30 * 24 * time.Hour, nil}, {math.MaxInt64, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := &pipeNet{}
			var asked string
			defer net.serve("n1:8098", func(w http.ResponseWriter, r *http.Request) { asked = r.URL.Query().Get("timeout") })()
			hc, end := net.client()
			defer end()
			cl := newClient(t, client.Config{Endpoints: []string{"n1:8098"}, HTTPClient: hc})
			done := make(chan error, 1)
			go func() {
				_, err := cl.Get(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{Quorum: client.Quorum{Timeout: c.timeout}})
				done <- err
			}()
			synctest.Wait()
			select {
			case err := <-done:
				if !errors.Is(err, c.want) {
					t.Errorf("timeout %d: got %v, want %v", c.timeout, err, c.want)
				}
			default:
				t.Fatalf("timeout %d: the call hangs", c.timeout)
			}
			if c.want == nil && (asked == "" || asked[0] == '-' || len(asked) > 9) {
				t.Errorf("timeout %d: the server was asked for %q ms", c.timeout, asked)
			}
		})
	}
}
