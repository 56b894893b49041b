package e2e

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sets: half of the elements go to one key, the others to the rest of them.
const (
	setElements = 2000
	setClients  = 5
	setKeys     = 9

	setPace    = 55 * time.Millisecond // from one add of a client to its next, if the cluster keeps up
	setTimeout = "timeout=4000"        // more than a silent owner costs
)

func setKey(k int) string { return "set" + strconv.Itoa(k) }

// keyOf returns the key of an element.
func keyOf(element int) int {
	if element%2 == 0 {
		return 0
	}
	return 1 + element/2%(setKeys-1)
}

// setRun is one run of set-adds in a bucket.
type setRun struct {
	bucket string
	acked  [setClients][]int // by client, each its own until all have ended
}

func (r *setRun) count() (n int) {
	for _, list := range r.acked {
		n += len(list)
	}
	return n
}

// client adds its share of the elements, one after the other, and remembers which were
// acknowledged. What fails is not tried again: it may be there or not.
func (r *setRun) client(web *http.Client, n *Node, c int) {
	defer web.CloseIdleConnections()
	next := time.Now()
	for e := c; e < setElements; e += setClients {
		o := Object{Bucket: r.bucket, Key: setKey(keyOf(e)), Client: web}
		set, ctx, err := readSet(o, n, "?"+setTimeout)
		if err == nil {
			set[e] = true
			var reply Reply
			reply, err = o.Ask(n, http.MethodPut, "?"+setTimeout, ctx, set.text())
			if err == nil && reply.Status == http.StatusNoContent {
				r.acked[c] = append(r.acked[c], e)
			}
		}
		next = next.Add(setPace)
		if late := time.Since(next); late > 0 {
			next = next.Add(late) // time lost in a cut is not made up for
		}
		pause(context.Background(), time.Until(next))
	}
}

// missing returns nil if every node finds every acknowledged element.
func (r *setRun) missing(web *http.Client, nodes []*Node) error {
	for _, n := range nodes {
		lost, err := r.lost(web, n)
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			return fmt.Errorf("%d of %d acknowledged elements are missing at %s, such as %d", len(lost), r.count(), n.Name, lost[0])
		}
	}
	return nil
}

// lost returns the acknowledged elements that a node, asking all owners, does not find.
func (r *setRun) lost(web *http.Client, n *Node) (lost []int, err error) {
	var there elements
	for k := range setKeys {
		set, _, err := readSet(Object{Bucket: r.bucket, Key: setKey(k), Client: web}, n, "?r=all&pr=all")
		if err != nil {
			return nil, fmt.Errorf("%s at %s: %w", setKey(k), n.Name, err)
		}
		for e, in := range set {
			there[e] = there[e] || in && keyOf(e) == k
		}
	}
	for _, list := range r.acked {
		for _, e := range list {
			if !there[e] {
				lost = append(lost, e)
			}
		}
	}
	slices.Sort(lost)
	return lost, nil
}

// elements is a set of element numbers.
type elements [setElements]bool

func (s *elements) text() string {
	var b strings.Builder
	for e, in := range s {
		if in {
			fmt.Fprintln(&b, e)
		}
	}
	return b.String()
}

func (s *elements) join(text string) error {
	for field := range strings.FieldsSeq(text) {
		e, err := strconv.Atoi(field)
		if err != nil || e < 0 || e >= setElements {
			return fmt.Errorf("%q is no element", field)
		}
		s[e] = true
	}
	return nil
}

// readSet reads the union of a key's siblings, and the context to write with.
func readSet(o Object, n *Node, query string) (set *elements, ctx string, err error) {
	set = new(elements)
	reply, err := o.Ask(n, http.MethodGet, query, "", "")
	if err != nil {
		return nil, "", err
	}
	switch reply.Status {
	case http.StatusNotFound:
	case http.StatusOK:
		err = set.join(reply.Body)
	case http.StatusMultipleChoices:
		err = set.joinParts(reply)
	default:
		err = fmt.Errorf("status %d: %s", reply.Status, reply.Body)
	}
	return set, reply.Context(), err
}

func (s *elements) joinParts(reply Reply) error {
	_, params, err := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("read the siblings: %w", err)
	}
	parts := multipart.NewReader(strings.NewReader(reply.Body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the siblings: %w", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("read a sibling: %w", err)
		}
		if err := s.join(string(value)); err != nil {
			return err
		}
	}
}
