// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// offsetsMax bounds the file of cached offsets, in bytes; it takes some 400.
const offsetsMax = 16 << 10

// cachedOffsets is the file: the offsets, and the sum of their bytes against damage.
type cachedOffsets struct {
	SHA256  string          `json:"sha256"`
	Offsets json.RawMessage `json:"offsets"`
}

// recall returns the offsets that an earlier run left for exactly this kernel, or nil. They are to
// be proved before they are used: a file that is not right is a reason to learn, and no error.
func recall(dir string, l *slog.Logger) *Offsets {
	if dir == "" {
		return nil
	}
	version, err := kernelVersion()
	if err != nil {
		return nil
	}
	o, err := readOffsets(offsetsPath(dir, version))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		l.Warn("cached offsets cannot be used", "reason", err)
		return nil
	case o.Version != version || o.Arch != uname().Arch:
		l.Warn("cached offsets are of another kernel", "dir", dir)
		return nil
	}
	o.Cached = true
	return o
}

// remember leaves offsets for later runs, if they are new. It is no error that it cannot.
func remember(dir string, o *Offsets, l *slog.Logger) {
	if dir == "" || o == nil || o.Cached {
		return
	}
	if err := writeOffsets(offsetsPath(dir, o.Version), o); err != nil {
		l.Debug("learned offsets cannot be cached", "reason", err)
	}
}

func offsetsPath(dir, version string) string {
	sum := sha256.Sum256([]byte(version))
	return filepath.Join(dir, "offsets", hex.EncodeToString(sum[:8])+".json")
}

func readOffsets(path string) (*Offsets, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, offsetsMax))
	if err != nil {
		return nil, err
	}
	o, err := parseOffsets(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

var (
	errDamaged  = errors.New("damaged")
	errNoOffset = errors.New("an offset is out of range")
)

func parseOffsets(text []byte) (*Offsets, error) {
	var c cachedOffsets
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if c.SHA256 != sumOf(c.Offsets) {
		return nil, errDamaged
	}
	o := new(Offsets)
	if err := json.Unmarshal(c.Offsets, o); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	for name, offset := range o.Members() {
		if offset != nil && *offset >= taskLen {
			return nil, fmt.Errorf("%w: %s %d", errNoOffset, name, *offset)
		}
	}
	return o, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// writeOffsets replaces the file as a whole, for others may read it.
func writeOffsets(path string, o *Offsets) error {
	offsets, err := json.Marshal(o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(cachedOffsets{sumOf(offsets), offsets})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".offsets-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
