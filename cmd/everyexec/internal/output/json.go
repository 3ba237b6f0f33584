// SPDX-License-Identifier: Apache-2.0

package output

import (
	"strconv"

	"github.com/everyexec/everyexec/event"
)

// JSON writes JSON Lines: one object for each exec, as the contract of the command says.
type JSON struct {
	MaxArgs int // at most so many arguments; 0: all that were captured
}

// Header is empty.
func (JSON) Header() []byte { return nil }

// timeFormat is RFC 3339 with all nine digits, so that lines sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

// Append appends the object and a newline.
func (j JSON) Append(dst []byte, x *Exec) []byte {
	dst = append(dst, `{"time":"`...)
	dst = x.Time.UTC().AppendFormat(dst, timeFormat)
	dst = append(dst, `","type":"`...)
	dst = append(dst, x.Kind.String()...)
	dst = append(dst, '"')
	dst = appendNumber(dst, x, `,"pid":`, event.PID, int64(x.PID))
	dst = appendNumber(dst, x, `,"tid":`, event.TID, int64(x.TID))
	dst = appendNumber(dst, x, `,"ppid":`, event.PPID, int64(x.PPID))
	dst = appendNumber(dst, x, `,"uid":`, event.UID, int64(x.UID))
	dst = appendNumber(dst, x, `,"gid":`, event.GID, int64(x.GID))
	dst = appendString(dst, x, `,"comm":`, event.Comm, x.Comm)
	dst = appendString(dst, x, `,"filename":`, event.Filename, x.Filename)
	dst = j.appendArgs(dst, x)
	dst = appendNumber(dst, x, `,"ret":`, event.Ret, int64(x.Ret))
	if x.Kind == event.ExecFailed {
		dst = append(dst, `,"errno":"`...)
		dst = append(dst, errnoName(x.Ret)...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"cgroup_id":`...)
	if x.Known.Has(event.CgroupID) {
		dst = strconv.AppendUint(dst, x.CgroupID, 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"container_id":`...)
	if x.ContainerMissing == "" {
		dst = appendJSONString(dst, []byte(x.ContainerID))
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"variant":"`...)
	dst = append(dst, x.Variant...)
	dst = append(dst, `","sources":{`...)
	dst = appendSources(dst, x)
	dst = append(dst, `},"missing":{`...)
	dst = appendMissing(dst, x)
	return append(dst, "}}\n"...)
}

func appendNumber(dst []byte, x *Exec, key string, f event.Fields, n int64) []byte {
	dst = append(dst, key...)
	if !x.Known.Has(f) {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendString(dst []byte, x *Exec, key string, f event.Fields, s []byte) []byte {
	dst = append(dst, key...)
	if !x.Known.Has(f) {
		return append(dst, "null"...)
	}
	return appendJSONString(dst, s)
}

func (j JSON) appendArgs(dst []byte, x *Exec) []byte {
	dst = append(dst, `,"args":`...)
	truncated := x.Truncated.Has(event.Args)
	if x.Known.Has(event.Args) {
		dst = append(dst, '[')
		n := 0
		for arg := range x.Args() {
			if j.MaxArgs > 0 && n == j.MaxArgs {
				truncated = true
				break
			}
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, arg)
			n++
		}
		dst = append(dst, ']')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"args_truncated":`...)
	return strconv.AppendBool(dst, truncated)
}

// appendSources appends where ppid and args come from, if they are known.
func appendSources(dst []byte, x *Exec) []byte {
	if x.Known.Has(event.PPID) {
		dst = append(dst, `"ppid":"`...)
		dst = append(dst, x.PPIDSource.String()...)
		dst = append(dst, '"')
	}
	if x.Known.Has(event.Args) {
		if x.Known.Has(event.PPID) {
			dst = append(dst, ',')
		}
		dst = append(dst, `"args":"`...)
		dst = append(dst, x.ArgsSource.String()...)
		dst = append(dst, '"')
	}
	return dst
}

// appendMissing appends the reasons, in the order of the fields.
func appendMissing(dst []byte, x *Exec) []byte {
	first := true
	add := func(name, reason string) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, `":"`...)
		dst = append(dst, reason...)
		dst = append(dst, '"')
	}
	if x.Known != event.All {
		for f := event.PID; f < event.All; f <<= 1 {
			if !x.Known.Has(f) {
				add(f.String(), x.Missing(f))
			}
		}
	}
	if x.ContainerMissing != "" {
		add("container_id", x.ContainerMissing)
	}
	return dst
}
