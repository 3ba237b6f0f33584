// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"log/slog"
)

// explain splits an error into what stands in the way and the way out.
func explain(err error) (reason, remedy string) {
	var o *obstacle
	if errors.As(err, &o) {
		// Joined or wrapped errors carry more words in front.
		if err == error(o) {
			return o.reason, o.remedy
		}
		return err.Error(), ""
	}
	return err.Error(), ""
}

// logFall tells that a variant cannot run and that the next one is tried. Only where nobody asked
// for the variant, by giving it what it needs, is that no news.
func logFall(l *slog.Logger, v Variant, err error) {
	reason, remedy := explain(err)
	level := slog.LevelWarn
	var o *obstacle
	if errors.As(err, &o) && o.expected {
		level = slog.LevelDebug
	}
	l.Log(context.Background(), level, "variant cannot run", "variant", v, "reason", reason, "remedy", remedy)
}
