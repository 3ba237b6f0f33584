// SPDX-License-Identifier: Apache-2.0

//go:build bcc

package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/iovisor/gobpf/bcc"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/bpf_noncore"
)

// libbcc compiles in a process of its own, this very binary executed again: what the compiler
// prints goes nowhere but into the error, what it takes ends with it, and so does what it breaks.
//
// That process gets the text as bccJob on stdin and the maps as descriptors. It sends the
// descriptors of the programs through a socket.

// bccVariable tells our own binary that it is that process.
const bccVariable = "EVERYEXEC_BCC_COMPILE"

// bccTimeout is for the slowest machine; a compilation takes a second or two.
const bccTimeout = 5 * time.Minute

// bccOutputMax bounds what is kept of the compiler's output, in bytes.
const bccOutputMax = 256 << 10

// bccSocket is the first descriptor that a child is given; the maps follow it.
const bccSocket = 3

// bccJob is what is to be compiled and loaded.
type bccJob struct {
	Text     string
	Flags    []string // for clang
	Programs []bccProgram
}

type bccProgram struct {
	Name string
	Type ebpf.ProgramType
}

// Whoever embeds this package must not find its own main executed again.
func init() {
	if os.Getenv(bccVariable) != "" {
		os.Exit(compileBCC())
	}
}

func probeBCC() Probe {
	return Probe{Name: "BCC", Result: Yes, Detail: "built with libbcc", Source: "this binary"}
}

// loadBCC makes the maps of a collection and has its programs compiled against the kernel's headers.
func loadBCC(ctx context.Context, spec *ebpf.CollectionSpec, f *Facts) (*ebpf.Collection, error) {
	job, err := newBCCJob(spec, f)
	if err != nil {
		return nil, err
	}
	h, err := findHeaders("", f.Kernel.Release, os.Getenv(kernelSourceVariable))
	if err != nil {
		return nil, err
	}
	coll, err := bccMaps(spec)
	if err != nil {
		return nil, err
	}
	if coll.Programs, err = job.run(ctx, coll.Maps, h); err != nil {
		coll.Close()
		return nil, err
	}
	if steps, ok := coll.Maps[mapSteps]; ok {
		if err := steps.Put(uint32(0), coll.Programs[progWalkArgv]); err != nil {
			coll.Close()
			return nil, fmt.Errorf("fill the array of tail calls: %w", err)
		}
	}
	return coll, nil
}

// bccMaps makes the maps alone.
func bccMaps(spec *ebpf.CollectionSpec) (*ebpf.Collection, error) {
	spec = spec.Copy()
	clear(spec.Programs)
	if steps, ok := spec.Maps[mapSteps]; ok {
		steps.Contents = nil // the programs are not there yet
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("make the maps of variant %s: %w", BCC, err)
	}
	return coll, nil
}

func newBCCJob(spec *ebpf.CollectionSpec, f *Facts) (*bccJob, error) {
	text, err := bpf_noncore.BCC()
	if err != nil {
		return nil, err
	}
	_, syscalls := spec.Programs[progWalkArgv]
	splitReads := features.HaveProgramHelper(ebpf.TracePoint, asm.FnProbeReadKernel) == nil
	job := &bccJob{Text: text, Flags: []string{
		define("SYSCALLS", syscalls),
		define("HAVE_CGROUP_ID", f.CgroupIDHelper.Result != No),
		define("HAVE_SPLIT_READS", splitReads),
	}}
	for name, prog := range spec.Programs {
		job.Programs = append(job.Programs, bccProgram{name, prog.Type})
	}
	return job, nil
}

func define(name string, yes bool) string {
	if yes {
		return "-D" + name + "=1"
	}
	return "-D" + name + "=0"
}

// run compiles and loads the programs in a process of its own, which inherits the maps.
func (j *bccJob) run(ctx context.Context, maps map[string]*ebpf.Map, h *headers) (map[string]*ebpf.Program, error) {
	ctx, cancel := context.WithTimeout(ctx, bccTimeout)
	defer cancel()
	socket, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	files := []*os.File{theirs}
	defer func() { closeAll(files) }()
	for name, m := range maps {
		file, err := inheritable(m)
		if err != nil {
			return nil, fmt.Errorf("pass map %s on: %w", name, err)
		}
		j.Flags = append(j.Flags, fmt.Sprintf("-DMAP_%s=%d", name, bccSocket+len(files)))
		files = append(files, file)
	}
	j.Flags = append(j.Flags, h.includes()...)
	input, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}

	output := &boundedBuffer{max: bccOutputMax}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	// With a source that is empty, as there is only the archive, libbcc looks there and nowhere else.
	cmd.Env = append(os.Environ(), bccVariable+"=1", kernelSourceVariable+"="+h.source)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = files
	if err := cmd.Run(); err != nil {
		failure := &compileError{output.String(), err}
		return nil, &obstacle{
			reason: failure.Error(),
			remedy: "docs/bcc.md says which libbcc goes with which kernel; --log-level debug shows all that libbcc printed",
			err:    failure,
		}
	}
	return j.receive(socket)
}

// receive takes the programs' descriptors off the socket, in the order of the job.
func (j *bccJob) receive(socket *os.File) (map[string]*ebpf.Program, error) {
	control := make([]byte, unix.CmsgSpace(4*len(j.Programs)))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the programs: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errors.New("receive the programs: no descriptors came"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != len(j.Programs) {
		return nil, errors.Join(fmt.Errorf("receive the programs: %d of %d came", len(fds), len(j.Programs)), err)
	}
	programs := make(map[string]*ebpf.Program)
	for i, p := range j.Programs {
		prog, err := ebpf.NewProgramFromFD(fds[i])
		if err != nil {
			return nil, fmt.Errorf("take over program %s: %w", p.Name, err)
		}
		programs[p.Name] = prog
	}
	return programs, nil
}

// includes names the generated headers, where they are in a tree of their own.
func (h *headers) includes() []string {
	if h.source == h.build {
		return nil
	}
	arch := h.build + "/arch/" + bccArch()
	return []string{
		"-I" + arch + "/include/generated/uapi",
		"-I" + arch + "/include/generated",
		"-I" + h.build + "/include",
		"-I" + h.build + "/include/generated/uapi",
	}
}

// bccArch is the name of the machine's directory in the kernel's source.
func bccArch() string {
	machine := uname().Arch
	if machine == "aarch64" {
		return "arm64"
	}
	return strings.Replace(machine, "x86_64", "x86", 1)
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "bcc"), os.NewFile(uintptr(fds[1]), "bcc"), nil
}

// inheritable duplicates a map's descriptor into a file that a child can be given.
func inheritable(m *ebpf.Map) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "map"), nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// boundedBuffer keeps the first bytes that are written, and forgets the others.
type boundedBuffer struct {
	bytes.Buffer
	max int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.max-b.Len())])
	return len(p), nil
}

// compileBCC is what the process does that compiles. It returns the exit code.
func compileBCC() int {
	var job bccJob
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		fmt.Fprintln(os.Stderr, "error: read the job:", err)
		return 1
	}
	module := bcc.NewModule(job.Text, job.Flags)
	if module == nil {
		return 1 // libbcc has said why
	}
	var fds []int
	for _, p := range job.Programs {
		fd, err := module.Load(p.Name, int(p.Type), 0, 0)
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: load %s: %v\n", p.Name, err)
			return 1
		}
		fds = append(fds, fd)
	}
	if err := unix.Sendmsg(bccSocket, []byte{0}, unix.UnixRights(fds...), nil, 0); err != nil {
		fmt.Fprintln(os.Stderr, "error: hand the programs over:", err)
		return 1
	}
	return 0
}
