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
func (c *Client) SetProperties(ctx context.Context, bucket string, props map[string]any) error {
	path, err := propertiesPath(bucket)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"props": props})
	if err != nil {
		return fmt.Errorf("client: encode the properties of bucket %s: %w: %w", bucket, ErrBadRequest, err)
	}
	// Setting the same values again changes nothing, so no attempt leaves doubt behind.
	rep, err := c.do(ctx, call{
		method: http.MethodPut, path: path, header: http.Header{"Content-Type": {"application/json"}},
		accept: "application/json", body: body,
	})
	if err != nil {
		return err
	}
	if rep.status != http.StatusNoContent {
		return rep.statusError()
	}
	return nil
}

// Properties returns the properties of a bucket as the node that answers knows them. Numbers are
// float64, as encoding/json makes them.
func (c *Client) Properties(ctx context.Context, bucket string) (map[string]any, error) {
	path, err := propertiesPath(bucket)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Props map[string]any `json:"props"`
	}
	if err := c.GetJSON(ctx, path, nil, &answer); err != nil {
		return nil, err
	}
	return answer.Props, nil
}

func propertiesPath(bucket string) (string, error) {
	if bucket == "" {
		return "", fmt.Errorf("client: the bucket must not be empty: %w", ErrBadRequest)
	}
	return "/buckets/" + escapeSegment(bucket) + "/props", nil
}
