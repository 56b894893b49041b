package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// SetProperties changes the properties of a bucket that props names, and leaves the others as
// they are. The node that answers has stored the change; others may learn of it a moment later.
// A value that the server refuses is a *StatusError that matches ErrBadRequest, and changes
// nothing.
func (c *Client) SetProperties(ctx context.Context, bucket Bucket, props map[string]any) error {
	path, err := bucket.path()
	if err != nil {
		return err
	}
	return c.putProperties(ctx, path, "bucket "+bucket.String(), props)
}

// Properties returns the properties of a bucket as the node that answers knows them: its own, and
// for the others those of its type. Numbers are float64, as encoding/json makes them.
func (c *Client) Properties(ctx context.Context, bucket Bucket) (map[string]any, error) {
	path, err := bucket.path()
	if err != nil {
		return nil, err
	}
	return c.getProperties(ctx, path)
}

// ResetProperties puts a bucket back to the properties of its type.
func (c *Client) ResetProperties(ctx context.Context, bucket Bucket) error {
	path, err := bucket.path()
	if err != nil {
		return err
	}
	return c.change(ctx, call{method: http.MethodDelete, path: path + "/props", accept: "*/*"})
}

// Types returns the names of the bucket types, "default" among them, as the node that answers
// knows them.
func (c *Client) Types(ctx context.Context) ([]string, error) {
	var answer struct {
		Types []string `json:"types"`
	}
	if err := c.GetJSON(ctx, "/types", nil, &answer); err != nil {
		return nil, err
	}
	return answer.Types, nil
}

// SetTypeProperties changes properties of a bucket type as SetProperties does for a bucket, and
// makes the type if there is none of that name. Without any properties it only makes it.
func (c *Client) SetTypeProperties(ctx context.Context, name string, props map[string]any) error {
	if name == "" {
		return errNoType
	}
	if props == nil {
		props = map[string]any{}
	}
	return c.putProperties(ctx, "/types/"+escapeSegment(name), "type "+name, props)
}

// TypeProperties returns the properties of a bucket type. One that does not exist is a *StatusError
// with status 404.
func (c *Client) TypeProperties(ctx context.Context, name string) (map[string]any, error) {
	if name == "" {
		return nil, errNoType
	}
	return c.getProperties(ctx, "/types/"+escapeSegment(name))
}

var errNoType = fmt.Errorf("client: the name of a type must not be empty: %w", ErrBadRequest)

func (c *Client) putProperties(ctx context.Context, path, what string, props map[string]any) error {
	body, err := json.Marshal(map[string]any{"props": props})
	if err != nil {
		return fmt.Errorf("client: encode the properties of %s: %w: %w", what, ErrBadRequest, err)
	}
	return c.change(ctx, call{
		method: http.MethodPut, path: path + "/props", header: http.Header{"Content-Type": {"application/json"}},
		accept: "application/json", body: body,
	})
}

// change sends what may be repeated without harm: setting the same again changes nothing, so no
// attempt leaves doubt behind.
func (c *Client) change(ctx context.Context, cl call) error {
	rep, err := c.do(ctx, cl)
	if err != nil {
		return err
	}
	if rep.status != http.StatusNoContent {
		return rep.statusError()
	}
	return nil
}

func (c *Client) getProperties(ctx context.Context, path string) (map[string]any, error) {
	var answer struct {
		Props map[string]any `json:"props"`
	}
	if err := c.GetJSON(ctx, path+"/props", nil, &answer); err != nil {
		return nil, err
	}
	return answer.Props, nil
}
