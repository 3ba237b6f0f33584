# SPDX-License-Identifier: Apache-2.0
# The test exec for amd64: see testexec.go. Built by `make generate` into amd64.bin.

	mov	(%rsp), %rdi		# argc
	cmp	$3, %rdi
	jne	ready

	mov	$57, %eax		# fork
	syscall
	test	%eax, %eax
	js	failed
	jnz	wait

	mov	16(%rsp), %rdi		# execve(argv[1], argv + 1, NULL)
	lea	16(%rsp), %rsi
	xor	%edx, %edx
	mov	$59, %eax
	syscall
	jmp	failed

wait:	mov	%eax, %edi		# wait4(pid, &status, 0, NULL)
	sub	$16, %rsp
	movq	$1, (%rsp)
	mov	%rsp, %rsi
	xor	%edx, %edx
	xor	%r10d, %r10d
	mov	$61, %eax
	syscall
	cmpl	$0, (%rsp)
	jne	failed

	jmp	done

ready:	mov	$1, %edi		# write(1, sp, 512)
	mov	%rsp, %rsi
	mov	$512, %edx
	mov	$1, %eax
	syscall
	sub	$16, %rsp
	xor	%edi, %edi		# read(0, sp, 1)
	mov	%rsp, %rsi
	mov	$1, %edx
	xor	%eax, %eax
	syscall

done:	xor	%edi, %edi
	jmp	leave
failed:	mov	$1, %edi
leave:	mov	$231, %eax		# exit_group
	syscall
