// Loadgen sends requests at a steady rate whatever the service does (open loop), and counts every one that failed.
//
// An open loop matters: a loop that waits for each answer sends less exactly while the service is broken, and hides it.
// The report is one JSON object on standard output; SIGTERM or SIGINT ends the run early with a full report.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	plan, failOnLoss := readFlags()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	report := plan.run(ctx)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(2)
	}
	if failOnLoss && report.Failed > 0 {
		os.Exit(1)
	}
}

func readFlags() (plan, bool) {
	var p plan
	flag.StringVar(&p.url, "url", "", "address to ask (required)")
	flag.Float64Var(&p.rate, "rate", 200, "requests per second")
	flag.DurationVar(&p.duration, "duration", 10*time.Second, "how long; 0: until a signal")
	flag.DurationVar(&p.timeout, "timeout", 5*time.Second, "a request without an answer by then has failed")
	flag.IntVar(&p.pool, "keepalive", 0, "connections of a keep-alive pool; 0: a new connection for every request")
	flag.StringVar(&p.progress, "progress", "", "file that gets one line of JSON per failure as it happens")
	failOnLoss := flag.Bool("strict", false, "exit 1 when a request failed")
	flag.Parse()
	if p.url == "" || p.rate <= 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	return p, *failOnLoss
}
