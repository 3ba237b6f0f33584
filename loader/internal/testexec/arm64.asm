// SPDX-License-Identifier: Apache-2.0
// The test exec for arm64: see testexec.go. Built by `make generate` into arm64.bin.

	ldr	x9, [sp]		// argc
	cmp	x9, #3
	b.ne	ready

	// As vfork: a fork would have this CPU forget that the pages of argv were touched, and a
	// program that looks at them on entry to execve would find nothing.
	mov	x0, #0x4111		// clone(CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0)
	mov	x1, #0
	mov	x2, #0
	mov	x3, #0
	mov	x4, #0
	mov	x8, #220
	svc	#0
	cmp	x0, #0
	b.lt	failed
	b.ne	wait

	ldr	x0, [sp, #16]		// execve(argv[1], argv + 1, NULL)
	add	x1, sp, #16
	mov	x2, #0
	mov	x8, #221
	svc	#0
	b	failed

wait:	sub	sp, sp, #16		// wait4(pid, &status, 0, NULL)
	mov	x9, #1
	str	x9, [sp]
	mov	x1, sp
	mov	x2, #0
	mov	x3, #0
	mov	x8, #260
	svc	#0
	ldr	w9, [sp]
	cbnz	w9, failed

	b	done

ready:	mov	x0, #1			// write(1, sp, 512)
	mov	x1, sp
	mov	x2, #512
	mov	x8, #64
	svc	#0
	sub	sp, sp, #16
	mov	x0, #0			// read(0, sp, 1)
	mov	x1, sp
	mov	x2, #1
	mov	x8, #63
	svc	#0

done:	mov	x0, #0
	b	leave
failed:	mov	x0, #1
leave:	mov	x8, #94			// exit_group
	svc	#0
