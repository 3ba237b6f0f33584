// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
)

// kernelConfigMax bounds a kernel's unpacked configuration; Debian's has 260 KiB.
const kernelConfigMax = 4 << 20

// kernelOptions are the options that decide what can be traced. They are hints: what counts is
// what the other probes find.
var kernelOptions = []string{
	"CONFIG_DEBUG_INFO_BTF", "CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_BPF_JIT",
	"CONFIG_PERF_EVENTS", "CONFIG_FTRACE_SYSCALLS", "CONFIG_IKHEADERS",
}

// kernelConfig is a kernel's configuration: option to value, "y" or "m" mostly.
type kernelConfig struct {
	options map[string]string
	source  string
}

// readKernelConfig reads the running kernel's configuration from where distributions keep it.
func readKernelConfig(release string) (*kernelConfig, error) {
	places := []string{
		"/proc/config.gz",
		"/boot/config-" + release,
		"/lib/modules/" + release + "/config",
		"/lib/modules/" + release + "/build/.config",
	}
	for _, place := range places {
		f, err := os.Open(place)
		if err != nil {
			continue
		}
		defer f.Close()
		options, err := parseKernelConfig(f, strings.HasSuffix(place, ".gz"))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", place, err)
		}
		return &kernelConfig{options, place}, nil
	}
	return nil, fmt.Errorf("the kernel's configuration is at none of %s", strings.Join(places, ", "))
}

func parseKernelConfig(r io.Reader, gzipped bool) (map[string]string, error) {
	if gzipped {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	}
	options := make(map[string]string)
	lines := bufio.NewScanner(io.LimitReader(r, kernelConfigMax))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "CONFIG_") {
			options[name] = value
		}
	}
	return options, lines.Err()
}

// probeKernelConfig reports the options that matter. An option that is not set is a no; without
// the configuration all are unknown.
func probeKernelConfig(release string) []Probe {
	config, err := readKernelConfig(release)
	var probes []Probe
	for _, option := range kernelOptions {
		p := Probe{Name: option}
		switch {
		case err != nil:
			p.Result, p.Detail = Unknown, err.Error()
		case config.options[option] == "":
			p.Result, p.Detail, p.Source = No, "not set", config.source
			p.Remedy = "boot a kernel with " + option + "=y"
		default:
			p.Result, p.Detail, p.Source = Yes, option+"="+config.options[option], config.source
		}
		probes = append(probes, p)
	}
	return probes
}
