package client_test

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"cartwheel/client"
)

func siblingServer(t testing.TB, contentType, body string) *client.Client {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Riak-Vclock", "all")
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusMultipleChoices)
		_, _ = io.WriteString(w, body)
	})
}

// Values come back byte for byte: with line breaks at either end, and with bytes that look
// almost like the boundary.
func TestSiblingsKeepEveryByte(t *testing.T) {
	values := []string{
		"plain", "", "\r\n", "\r\n\r\n", "ends with a line break\r\n", "\r\n--", "--", "\r\n--Bound", "\r\n--Bxy\r\n",
		"--Bxy--\r\nmore", "\r\n-- B7\r\n", "a\nb\n--\n", "\x00\xff\xfe", strings.Repeat("\r\n--B", 5000), "=3D quoted",
	}
	var parts []string
	for _, v := range values {
		parts = append(parts, "Content-Type: text/plain\r\nEtag: t1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"+v)
	}
	c := siblingServer(t, "multipart/mixed; boundary=B7", multipartBody("B7", parts...))
	got, err := c.Get(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Siblings || got.Context != "all" || len(got.Values) != len(values) {
		t.Fatalf("got %d values, siblings %t, want %d", len(got.Values), got.Siblings, len(values))
	}
	for i, want := range values {
		if string(got.Values[i].Body) != want {
			t.Errorf("sibling %d: got %.60q, want %.60q", i, got.Values[i].Body, want)
		}
	}
}

func TestSiblingsKeepTheirHeaders(t *testing.T) {
	body := multipartBody("x",
		"Content-Type: application/json\r\nLink: </buckets/b>; rel=\"up\"\r\nEtag: tag1\r\n"+
			"Last-Modified: Wed, 22 Nov 2023 09:30:00 GMT\r\nx-riak-meta-color: red\r\nx-riak-index-age_int: 1\r\nx-riak-index-age_int: 2\r\n\r\n{}",
		"Content-Type: application/octet-stream\r\nEtag: tag2\r\nX-Riak-Deleted: true\r\n\r\n")
	c := siblingServer(t, `multipart/mixed; boundary="x"`, body)
	got, err := c.Get(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
	if err != nil || len(got.Values) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	a, b := got.Values[0], got.Values[1]
	if a.ContentType != "application/json" || a.VTag != "tag1" || a.Deleted || a.LastModified.Year() != 2023 || a.Meta["color"] != "red" {
		t.Errorf("first: %+v", a)
	}
	if want := (http.Header{"X-Riak-Index-Age_int": {"1", "2"}}); !reflect.DeepEqual(a.Extra, want) {
		t.Errorf("first: extra %v, want %v", a.Extra, want)
	}
	if b.VTag != "tag2" || !b.Deleted || len(b.Body) != 0 {
		t.Errorf("second: %+v", b)
	}
}

// Fewer siblings than the server has would make the next write drop the missing ones, so
// anything odd is an error.
func TestDamagedSiblingsAreAnError(t *testing.T) {
	whole := multipartBody("x", "Etag: a\r\n\r\none", "Etag: b\r\n\r\ntwo")
	for name, tc := range map[string]struct{ contentType, body string }{
		"cut in a value":      {"multipart/mixed; boundary=x", whole[:len(whole)-10]},
		"cut in a header":     {"multipart/mixed; boundary=x", whole[:strings.LastIndex(whole, "Etag")+2]},
		"cut between":         {"multipart/mixed; boundary=x", whole[:strings.LastIndex(whole, "\r\n--x\r\n")]},
		"no part":             {"multipart/mixed; boundary=x", "\r\n--x--\r\n"},
		"other boundary":      {"multipart/mixed; boundary=y", whole},
		"no boundary":         {"multipart/mixed", whole},
		"list of tags":        {"text/plain", "Siblings:\na\nb\n"},
		"content type broken": {"multipart/mixed; boundary", whole},
	} {
		c := siblingServer(t, tc.contentType, tc.body)
		got, err := c.Get(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
		if err == nil {
			t.Errorf("%s: accepted as %d values", name, len(got.Values))
		}
	}
}
