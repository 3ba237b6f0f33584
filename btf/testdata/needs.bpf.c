// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * Every kind of relocation that a minimised BTF can answer. Built with:
 * clang -O2 -g -target bpfel -mcpu=v1 -c needs.bpf.c -o needs.o && llvm-strip -g needs.o
 */
#define __core __attribute__((preserve_access_index))

typedef unsigned long long u64;

enum colour {
	COLOUR_RED = 1,
	COLOUR_GREEN = 2,
};

enum big {
	BIG_ONE = 1,
};

struct inner {
	int first;
	int second;
} __core;

struct wrapped {
	union {
		struct {
			int hidden;
		};
	};
	struct inner list[2];
	unsigned int bits : 3;
	void *pointer;
	struct inner nested;
	enum colour colour;
	int gone;
} __core;

struct wrapped___old {
	int old_name;
} __core;

typedef struct {
	int value;
} __core counter_t;

struct absent {
	int x;
} __core;

struct sized {
	int x;
} __core;

enum {
	FIELD_BYTE_OFFSET = 0,
	FIELD_BYTE_SIZE = 1,
	FIELD_EXISTS = 2,
	FIELD_SIGNED = 3,
	FIELD_LSHIFT_U64 = 4,
	FIELD_RSHIFT_U64 = 5,
};

#define offset_of(p, f) __builtin_preserve_field_info((p)->f, FIELD_BYTE_OFFSET)
#define exists(p, f) __builtin_preserve_field_info((p)->f, FIELD_EXISTS)

__attribute__((section("raw_tp/x"))) int prog(u64 *ctx)
{
	struct wrapped *w = (void *)ctx[0];
	struct wrapped___old *old = (void *)ctx[0];
	counter_t *counter = (void *)ctx[0];
	struct absent *absent = (void *)ctx[0];
	u64 sum = 0;

	sum += offset_of(w, hidden);
	sum += offset_of(w, list[1].second);
	sum += offset_of(w, pointer);
	sum += offset_of(w, nested);
	sum += offset_of(w, colour);
	sum += __builtin_preserve_field_info(w->bits, FIELD_BYTE_OFFSET);
	sum += __builtin_preserve_field_info(w->bits, FIELD_BYTE_SIZE);
	sum += __builtin_preserve_field_info(w->bits, FIELD_LSHIFT_U64);
	sum += __builtin_preserve_field_info(w->bits, FIELD_RSHIFT_U64);
	sum += __builtin_preserve_field_info(w->bits, FIELD_SIGNED);
	if (exists(w, gone))
		sum += offset_of(w, gone);
	if (exists(old, old_name))
		sum += offset_of(old, old_name);
	sum += offset_of(counter, value);
	if (__builtin_preserve_type_info(*absent, 0))
		sum += offset_of(absent, x);
	sum += __builtin_preserve_type_info(*(struct sized *)0, 1);
	sum += __builtin_preserve_enum_value(*(enum colour *)COLOUR_GREEN, 1);
	if (__builtin_preserve_enum_value(*(enum colour *)COLOUR_RED, 0))
		sum += __builtin_preserve_enum_value(*(enum colour *)COLOUR_RED, 1);
	sum += __builtin_preserve_enum_value(*(enum big *)BIG_ONE, 1);
	return sum;
}

char LICENSE[] __attribute__((section("license"))) = "Dual BSD/GPL";
