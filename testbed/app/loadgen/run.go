package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

type plan struct {
	url, progress string
	rate          float64 // requests per second
	duration      time.Duration
	timeout       time.Duration
	pool          int // connections; 0: a new one for every request
}

// outcome of one request. kind is empty when it succeeded.
type outcome struct {
	at      time.Time // when it was sent
	took    time.Duration
	kind    string
	detail  string
	version string // the X-Version header, "" without
}

func (p plan) run(ctx context.Context) *report {
	if p.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.duration)
		defer cancel()
	}
	client := p.client()
	outcomes := make(chan outcome, 1024)
	collected := make(chan *report)
	started := time.Now()
	go func() { collected <- p.collect(started, outcomes) }()
	var open sync.WaitGroup
	interval := time.Duration(float64(time.Second) / p.rate)
	// Each request has its own due time, so that a late wake-up is made up for and the rate holds.
	for n := 0; ; n++ {
		due := started.Add(time.Duration(n) * interval)
		if !waitUntil(ctx, due) {
			break
		}
		open.Add(1)
		go func() {
			defer open.Done()
			outcomes <- ask(client, p.url)
		}()
	}
	open.Wait()
	close(outcomes)
	return <-collected
}

func waitUntil(ctx context.Context, due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

func (p plan) client() *http.Client {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: p.timeout}).DialContext,
		DisableKeepAlives:   p.pool == 0,
		MaxConnsPerHost:     p.pool,
		MaxIdleConnsPerHost: p.pool,
		DisableCompression:  true,
	}
	return &http.Client{
		Timeout:       p.timeout,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a POST with an empty body: Go repeats a GET by itself when a kept connection was closed, and that would hide a lost request.
func ask(client *http.Client, url string) outcome {
	result := outcome{at: time.Now()}
	request, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		result.kind, result.detail = "request", err.Error()
		return result
	}
	response, err := client.Do(request)
	if err == nil {
		result.version = response.Header.Get("X-Version")
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	result.took = time.Since(result.at)
	switch {
	case err != nil:
		result.kind, result.detail = kindOf(err), err.Error()
	case response.StatusCode >= 400:
		result.kind = fmt.Sprintf("status_%d", response.StatusCode)
	}
	return result
}

func kindOf(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.As(err, &netErr) && netErr.Timeout(), strings.Contains(err.Error(), "deadline exceeded"):
		return "timeout"
	default:
		return "other"
	}
}

// collect owns the report: one goroutine, so no lock.
func (p plan) collect(started time.Time, outcomes <-chan outcome) *report {
	r := newReport(p, started)
	var progress *json.Encoder
	if p.progress != "" {
		file, err := os.Create(p.progress)
		if err != nil {
			fmt.Fprintln(os.Stderr, "loadgen:", err)
			os.Exit(2)
		}
		defer file.Close()
		progress = json.NewEncoder(file)
	}
	for o := range outcomes {
		r.add(o)
		if o.kind != "" && progress != nil {
			_ = progress.Encode(map[string]any{"at_unix_s": unix(o.at), "kind": o.kind, "detail": o.detail})
		}
	}
	r.finish(time.Now())
	return r
}
