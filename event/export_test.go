// SPDX-License-Identifier: Apache-2.0

package event

// HeaderLen and Offsets show the decoder's idea of the layout to the test that holds it against
// the objects, which this package may not import.
const HeaderLen = headerLen

var Offsets = map[string]int{
	"version": offVersion, "kind": offKind, "program": offProgram, "ppid_source": offPPIDSource,
	"args_source": offArgsSource, "known": offKnown, "truncated": offTruncated, "faulted": offFaulted,
	"ret": offRet, "ktime_ns": offKtimeNs, "cgroup_id": offCgroupID, "pid": offPID, "tid": offTID,
	"ppid": offPPID, "uid": offUID, "gid": offGID, "filename_len": offFilenameLen,
	"args_len": offArgsLen, "args_full_len": offArgsFullLen, "comm": offComm,
}
