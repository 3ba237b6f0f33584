// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"compress/gzip"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/moby/sys/capability"
)

func TestFromError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Result
	}{{nil, Yes}, {ebpf.ErrNotSupported, No}, {errors.New("EPERM"), Unknown}} {
		if got := fromError(Probe{Remedy: "do"}, c.err); got.Result != c.want {
			t.Errorf("%v gives %s, want %s", c.err, got.Result, c.want)
		}
	}
}

func TestMissingCapabilities(t *testing.T) {
	for _, c := range []struct {
		name     string
		has      []capability.Cap
		knowsBPF bool
		want     string
	}{
		{"CAP_SYS_ADMIN is enough", []capability.Cap{capability.CAP_SYS_ADMIN}, true, ""},
		{"since 5.8", []capability.Cap{capability.CAP_BPF, capability.CAP_PERFMON}, true, ""},
		{"one is not enough", []capability.Cap{capability.CAP_BPF}, true, "CAP_PERFMON"},
		{"none", nil, true, "CAP_BPF CAP_PERFMON"},
		{"before 5.8", nil, false, "CAP_SYS_ADMIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			has := func(want capability.Cap) bool { return slices.Contains(c.has, want) }
			if got := strings.Join(missingCapabilities(has, c.knowsBPF), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const kernelConfigSample = "# Linux\nCONFIG_BPF=y\nCONFIG_DEBUG_INFO_BTF=y\n# CONFIG_IKHEADERS is not set\nCONFIG_KHEADERS=m\n"

func TestParseKernelConfig(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(kernelConfigSample))
	z.Close()
	for name, open := range map[string]func() (map[string]string, error){
		"plain": func() (map[string]string, error) {
			return parseKernelConfig(strings.NewReader(kernelConfigSample), false)
		},
		"gzipped": func() (map[string]string, error) { return parseKernelConfig(&zipped, true) },
	} {
		t.Run(name, func(t *testing.T) {
			options, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if len(options) != 3 || options["CONFIG_DEBUG_INFO_BTF"] != "y" || options["CONFIG_KHEADERS"] != "m" {
				t.Errorf("got %v", options)
			}
		})
	}
	if _, err := parseKernelConfig(strings.NewReader("no gzip"), true); err == nil {
		t.Error("took text for gzip")
	}
}
