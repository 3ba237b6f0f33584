// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"

	"github.com/everyexec/everyexec/event"
	"github.com/everyexec/everyexec/loader"
)

// Trace the execs of this machine, with their parents, until one has been seen.
func Example() {
	if os.Getuid() != 0 {
		fmt.Println("/proc/self/exe") // tracing needs privilege
		return
	}
	ctx := context.Background()
	tracer, err := loader.Open(ctx, loader.Options{})
	var unusable *loader.UnusableError
	if errors.As(err, &unusable) {
		log.Fatalf("%s; %s", unusable.Reason, unusable.Remedy)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer tracer.Close()

	cmd := exec.Cmd{Path: "/proc/self/exe", Args: []string{"example", "-test.run=^$"}}
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	if err := tracer.Stop(); err != nil {
		log.Fatal(err)
	}

	var e event.Event
	for {
		err := tracer.Read(&e)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		if e.PID == uint32(cmd.Process.Pid) {
			fmt.Printf("%s\n", e.Filename)
		}
	}
	// Output: /proc/self/exe
}
