package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
)

// maxAnswer bounds what is read of a server's word about itself.
const maxAnswer = 1 << 20

// ask makes one request and returns the answer's body; a status above 299 is an error.
func ask(ctx context.Context, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err // names method and URL
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode > 299 {
		return "", fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return string(text), nil
}

// says returns a condition for await: a GET of the URL is answered with a body that has the text.
func says(url, text string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := ask(ctx, http.MethodGet, url, "")
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("%s has no %s", url, text)
		}
		return err
	}
}

// firstLine runs a program, which ends by itself, and returns the first line of its output.
func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("run %s %s: %w", program, strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}
