// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints sizeof and offsetof of the kernel structures that src/abi lays out, from the installed headers.
 * With abi-constants.c it makes the fixtures of each architecture, MACHINE being x86_64 or aarch64; on another machine
 * by a cross compiler (Debian's gcc-aarch64-linux-gnu and libc6-dev-arm64-cross), linked with -static and run in the lab.
 * Where its own headers are older than the machine's, -isystem names a folder with links to the machine's linux/ and
 * asm-generic/: these are the same for every architecture.
 *
 *   gcc -o abi-golden scripts/abi-golden.c && ./abi-golden > native-free-tests/abi/fixtures/offsets.MACHINE.txt
 *   gcc -o abi-constants scripts/abi-constants.c && ./abi-constants > native-free-tests/abi/fixtures/constants.MACHINE.txt
 *
 * One line for each structure (`struct NAME SIZE`), one for each of its fields (`  OFFSET SIZE FIELD`).
 * Bit fields have no offset: those of perf_event_attr follow as masks in their 64-bit word (`bits NAME OFFSET`,
 * then `  MASK FIELD`). A few structures of KVM are of one architecture alone.
 */
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <linux/version.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define STRUCT(name) printf("struct %s %zu\n", #name, sizeof(struct name))
#define FIELD(name, field) \
	printf("  %zu %zu %s\n", offsetof(struct name, field), sizeof(((struct name *)0)->field), #field)

static void print_fuse(void)
{
	STRUCT(fuse_in_header);
	FIELD(fuse_in_header, len);
	FIELD(fuse_in_header, opcode);
	FIELD(fuse_in_header, unique);
	FIELD(fuse_in_header, nodeid);
	FIELD(fuse_in_header, uid);
	FIELD(fuse_in_header, gid);
	FIELD(fuse_in_header, pid);
	FIELD(fuse_in_header, total_extlen);
	FIELD(fuse_in_header, padding);
	STRUCT(fuse_out_header);
	FIELD(fuse_out_header, len);
	FIELD(fuse_out_header, error);
	FIELD(fuse_out_header, unique);
	STRUCT(fuse_attr);
	FIELD(fuse_attr, ino);
	FIELD(fuse_attr, size);
	FIELD(fuse_attr, blocks);
	FIELD(fuse_attr, atime);
	FIELD(fuse_attr, mtime);
	FIELD(fuse_attr, ctime);
	FIELD(fuse_attr, atimensec);
	FIELD(fuse_attr, mtimensec);
	FIELD(fuse_attr, ctimensec);
	FIELD(fuse_attr, mode);
	FIELD(fuse_attr, nlink);
	FIELD(fuse_attr, uid);
	FIELD(fuse_attr, gid);
	FIELD(fuse_attr, rdev);
	FIELD(fuse_attr, blksize);
	FIELD(fuse_attr, flags);
	STRUCT(fuse_entry_out);
	FIELD(fuse_entry_out, nodeid);
	FIELD(fuse_entry_out, generation);
	FIELD(fuse_entry_out, entry_valid);
	FIELD(fuse_entry_out, attr_valid);
	FIELD(fuse_entry_out, entry_valid_nsec);
	FIELD(fuse_entry_out, attr_valid_nsec);
	FIELD(fuse_entry_out, attr);
	STRUCT(fuse_forget_in);
	FIELD(fuse_forget_in, nlookup);
	STRUCT(fuse_forget_one);
	FIELD(fuse_forget_one, nodeid);
	FIELD(fuse_forget_one, nlookup);
	STRUCT(fuse_batch_forget_in);
	FIELD(fuse_batch_forget_in, count);
	FIELD(fuse_batch_forget_in, dummy);
	STRUCT(fuse_getattr_in);
	FIELD(fuse_getattr_in, getattr_flags);
	FIELD(fuse_getattr_in, dummy);
	FIELD(fuse_getattr_in, fh);
	STRUCT(fuse_attr_out);
	FIELD(fuse_attr_out, attr_valid);
	FIELD(fuse_attr_out, attr_valid_nsec);
	FIELD(fuse_attr_out, dummy);
	FIELD(fuse_attr_out, attr);
	STRUCT(fuse_setattr_in);
	FIELD(fuse_setattr_in, valid);
	FIELD(fuse_setattr_in, padding);
	FIELD(fuse_setattr_in, fh);
	FIELD(fuse_setattr_in, size);
	FIELD(fuse_setattr_in, lock_owner);
	FIELD(fuse_setattr_in, atime);
	FIELD(fuse_setattr_in, mtime);
	FIELD(fuse_setattr_in, ctime);
	FIELD(fuse_setattr_in, atimensec);
	FIELD(fuse_setattr_in, mtimensec);
	FIELD(fuse_setattr_in, ctimensec);
	FIELD(fuse_setattr_in, mode);
	FIELD(fuse_setattr_in, unused4);
	FIELD(fuse_setattr_in, uid);
	FIELD(fuse_setattr_in, gid);
	FIELD(fuse_setattr_in, unused5);
	STRUCT(fuse_mknod_in);
	FIELD(fuse_mknod_in, mode);
	FIELD(fuse_mknod_in, rdev);
	FIELD(fuse_mknod_in, umask);
	FIELD(fuse_mknod_in, padding);
	STRUCT(fuse_mkdir_in);
	FIELD(fuse_mkdir_in, mode);
	FIELD(fuse_mkdir_in, umask);
	STRUCT(fuse_rename_in);
	FIELD(fuse_rename_in, newdir);
	STRUCT(fuse_rename2_in);
	FIELD(fuse_rename2_in, newdir);
	FIELD(fuse_rename2_in, flags);
	FIELD(fuse_rename2_in, padding);
	STRUCT(fuse_link_in);
	FIELD(fuse_link_in, oldnodeid);
	STRUCT(fuse_open_in);
	FIELD(fuse_open_in, flags);
	FIELD(fuse_open_in, open_flags);
	STRUCT(fuse_create_in);
	FIELD(fuse_create_in, flags);
	FIELD(fuse_create_in, mode);
	FIELD(fuse_create_in, umask);
	FIELD(fuse_create_in, open_flags);
	STRUCT(fuse_open_out);
	FIELD(fuse_open_out, fh);
	FIELD(fuse_open_out, open_flags);
	FIELD(fuse_open_out, padding);
	STRUCT(fuse_release_in);
	FIELD(fuse_release_in, fh);
	FIELD(fuse_release_in, flags);
	FIELD(fuse_release_in, release_flags);
	FIELD(fuse_release_in, lock_owner);
	STRUCT(fuse_flush_in);
	FIELD(fuse_flush_in, fh);
	FIELD(fuse_flush_in, unused);
	FIELD(fuse_flush_in, padding);
	FIELD(fuse_flush_in, lock_owner);
	STRUCT(fuse_read_in);
	FIELD(fuse_read_in, fh);
	FIELD(fuse_read_in, offset);
	FIELD(fuse_read_in, size);
	FIELD(fuse_read_in, read_flags);
	FIELD(fuse_read_in, lock_owner);
	FIELD(fuse_read_in, flags);
	FIELD(fuse_read_in, padding);
	STRUCT(fuse_write_in);
	FIELD(fuse_write_in, fh);
	FIELD(fuse_write_in, offset);
	FIELD(fuse_write_in, size);
	FIELD(fuse_write_in, write_flags);
	FIELD(fuse_write_in, lock_owner);
	FIELD(fuse_write_in, flags);
	FIELD(fuse_write_in, padding);
	STRUCT(fuse_write_out);
	FIELD(fuse_write_out, size);
	FIELD(fuse_write_out, padding);
	STRUCT(fuse_kstatfs);
	FIELD(fuse_kstatfs, blocks);
	FIELD(fuse_kstatfs, bfree);
	FIELD(fuse_kstatfs, bavail);
	FIELD(fuse_kstatfs, files);
	FIELD(fuse_kstatfs, ffree);
	FIELD(fuse_kstatfs, bsize);
	FIELD(fuse_kstatfs, namelen);
	FIELD(fuse_kstatfs, frsize);
	FIELD(fuse_kstatfs, padding);
	FIELD(fuse_kstatfs, spare);
	STRUCT(fuse_fsync_in);
	FIELD(fuse_fsync_in, fh);
	FIELD(fuse_fsync_in, fsync_flags);
	FIELD(fuse_fsync_in, padding);
	STRUCT(fuse_setxattr_in);
	FIELD(fuse_setxattr_in, size);
	FIELD(fuse_setxattr_in, flags);
	FIELD(fuse_setxattr_in, setxattr_flags);
	FIELD(fuse_setxattr_in, padding);
	STRUCT(fuse_getxattr_in);
	FIELD(fuse_getxattr_in, size);
	FIELD(fuse_getxattr_in, padding);
	STRUCT(fuse_getxattr_out);
	FIELD(fuse_getxattr_out, size);
	FIELD(fuse_getxattr_out, padding);
	STRUCT(fuse_access_in);
	FIELD(fuse_access_in, mask);
	FIELD(fuse_access_in, padding);
	STRUCT(fuse_init_in);
	FIELD(fuse_init_in, major);
	FIELD(fuse_init_in, minor);
	FIELD(fuse_init_in, max_readahead);
	FIELD(fuse_init_in, flags);
	FIELD(fuse_init_in, flags2);
	FIELD(fuse_init_in, unused);
	STRUCT(fuse_init_out);
	FIELD(fuse_init_out, major);
	FIELD(fuse_init_out, minor);
	FIELD(fuse_init_out, max_readahead);
	FIELD(fuse_init_out, flags);
	FIELD(fuse_init_out, max_background);
	FIELD(fuse_init_out, congestion_threshold);
	FIELD(fuse_init_out, max_write);
	FIELD(fuse_init_out, time_gran);
	FIELD(fuse_init_out, max_pages);
	FIELD(fuse_init_out, map_alignment);
	FIELD(fuse_init_out, flags2);
	FIELD(fuse_init_out, unused);
	STRUCT(fuse_interrupt_in);
	FIELD(fuse_interrupt_in, unique);
	STRUCT(fuse_ioctl_in);
	FIELD(fuse_ioctl_in, fh);
	FIELD(fuse_ioctl_in, flags);
	FIELD(fuse_ioctl_in, cmd);
	FIELD(fuse_ioctl_in, arg);
	FIELD(fuse_ioctl_in, in_size);
	FIELD(fuse_ioctl_in, out_size);
	STRUCT(fuse_ioctl_out);
	FIELD(fuse_ioctl_out, result);
	FIELD(fuse_ioctl_out, flags);
	FIELD(fuse_ioctl_out, in_iovs);
	FIELD(fuse_ioctl_out, out_iovs);
	STRUCT(fuse_poll_in);
	FIELD(fuse_poll_in, fh);
	FIELD(fuse_poll_in, kh);
	FIELD(fuse_poll_in, flags);
	FIELD(fuse_poll_in, events);
	STRUCT(fuse_poll_out);
	FIELD(fuse_poll_out, revents);
	FIELD(fuse_poll_out, padding);
	STRUCT(fuse_notify_poll_wakeup_out);
	FIELD(fuse_notify_poll_wakeup_out, kh);
	STRUCT(fuse_dirent);
	FIELD(fuse_dirent, ino);
	FIELD(fuse_dirent, off);
	FIELD(fuse_dirent, namelen);
	FIELD(fuse_dirent, type);
}

static void print_perf(void)
{
	STRUCT(perf_event_attr);
	FIELD(perf_event_attr, type);
	FIELD(perf_event_attr, size);
	FIELD(perf_event_attr, config);
	FIELD(perf_event_attr, sample_period);
	FIELD(perf_event_attr, sample_freq);
	FIELD(perf_event_attr, sample_type);
	FIELD(perf_event_attr, read_format);
	FIELD(perf_event_attr, wakeup_events);
	FIELD(perf_event_attr, wakeup_watermark);
	FIELD(perf_event_attr, bp_type);
	FIELD(perf_event_attr, bp_addr);
	FIELD(perf_event_attr, kprobe_func);
	FIELD(perf_event_attr, uprobe_path);
	FIELD(perf_event_attr, config1);
	FIELD(perf_event_attr, bp_len);
	FIELD(perf_event_attr, kprobe_addr);
	FIELD(perf_event_attr, probe_offset);
	FIELD(perf_event_attr, config2);
	FIELD(perf_event_attr, branch_sample_type);
	FIELD(perf_event_attr, sample_regs_user);
	FIELD(perf_event_attr, sample_stack_user);
	FIELD(perf_event_attr, clockid);
	FIELD(perf_event_attr, sample_regs_intr);
	FIELD(perf_event_attr, aux_watermark);
	FIELD(perf_event_attr, sample_max_stack);
	FIELD(perf_event_attr, __reserved_2);
	FIELD(perf_event_attr, aux_sample_size);
	FIELD(perf_event_attr, __reserved_3);
	FIELD(perf_event_attr, sig_data);
}

static void print_kvm(void)
{
	STRUCT(kvm_stats_header);
	FIELD(kvm_stats_header, flags);
	FIELD(kvm_stats_header, name_size);
	FIELD(kvm_stats_header, num_desc);
	FIELD(kvm_stats_header, id_offset);
	FIELD(kvm_stats_header, desc_offset);
	FIELD(kvm_stats_header, data_offset);
	STRUCT(kvm_stats_desc);
	FIELD(kvm_stats_desc, flags);
	FIELD(kvm_stats_desc, exponent);
	FIELD(kvm_stats_desc, size);
	FIELD(kvm_stats_desc, offset);
	FIELD(kvm_stats_desc, bucket_size);
	STRUCT(kvm_userspace_memory_region);
	FIELD(kvm_userspace_memory_region, slot);
	FIELD(kvm_userspace_memory_region, flags);
	FIELD(kvm_userspace_memory_region, guest_phys_addr);
	FIELD(kvm_userspace_memory_region, memory_size);
	FIELD(kvm_userspace_memory_region, userspace_addr);
}

static void print_seccomp(void)
{
	STRUCT(seccomp_data);
	FIELD(seccomp_data, nr);
	FIELD(seccomp_data, arch);
	FIELD(seccomp_data, instruction_pointer);
	FIELD(seccomp_data, args);
	STRUCT(seccomp_notif);
	FIELD(seccomp_notif, id);
	FIELD(seccomp_notif, pid);
	FIELD(seccomp_notif, flags);
	FIELD(seccomp_notif, data);
	STRUCT(seccomp_notif_resp);
	FIELD(seccomp_notif_resp, id);
	FIELD(seccomp_notif_resp, val);
	FIELD(seccomp_notif_resp, error);
	FIELD(seccomp_notif_resp, flags);
	STRUCT(seccomp_notif_sizes);
	FIELD(seccomp_notif_sizes, seccomp_notif);
	FIELD(seccomp_notif_sizes, seccomp_notif_resp);
	FIELD(seccomp_notif_sizes, seccomp_data);
	STRUCT(seccomp_notif_addfd);
	FIELD(seccomp_notif_addfd, id);
	FIELD(seccomp_notif_addfd, flags);
	FIELD(seccomp_notif_addfd, srcfd);
	FIELD(seccomp_notif_addfd, newfd);
	FIELD(seccomp_notif_addfd, newfd_flags);
}

#define FLAG(field) \
	do { \
		struct perf_event_attr attr; \
		uint64_t word; \
		memset(&attr, 0, sizeof(attr)); \
		attr.field = -1; \
		memcpy(&word, (char *)&attr + 40, sizeof(word)); \
		printf("  %#llx %s\n", (unsigned long long)word, #field); \
	} while (0)

static void print_perf_flags(void)
{
	printf("bits perf_event_attr 40\n");
	FLAG(disabled);
	FLAG(inherit);
	FLAG(pinned);
	FLAG(exclusive);
	FLAG(exclude_user);
	FLAG(exclude_kernel);
	FLAG(exclude_hv);
	FLAG(exclude_idle);
	FLAG(mmap);
	FLAG(comm);
	FLAG(freq);
	FLAG(inherit_stat);
	FLAG(enable_on_exec);
	FLAG(task);
	FLAG(watermark);
	FLAG(precise_ip);
	FLAG(mmap_data);
	FLAG(sample_id_all);
	FLAG(exclude_host);
	FLAG(exclude_guest);
	FLAG(exclude_callchain_kernel);
	FLAG(exclude_callchain_user);
	FLAG(mmap2);
	FLAG(comm_exec);
	FLAG(use_clockid);
	FLAG(context_switch);
	FLAG(write_backward);
	FLAG(namespaces);
	FLAG(ksymbol);
	FLAG(bpf_event);
	FLAG(aux_output);
	FLAG(cgroup);
	FLAG(text_poke);
	FLAG(build_id);
	FLAG(inherit_thread);
	FLAG(remove_on_exec);
	FLAG(sigtrap);
}

#if defined(__x86_64__)
static void print_kvm_of_machine(void)
{
	STRUCT(kvm_regs);
	FIELD(kvm_regs, rax);
	FIELD(kvm_regs, rbx);
	FIELD(kvm_regs, rcx);
	FIELD(kvm_regs, rdx);
	FIELD(kvm_regs, rsi);
	FIELD(kvm_regs, rdi);
	FIELD(kvm_regs, rsp);
	FIELD(kvm_regs, rbp);
	FIELD(kvm_regs, r8);
	FIELD(kvm_regs, r9);
	FIELD(kvm_regs, r10);
	FIELD(kvm_regs, r11);
	FIELD(kvm_regs, r12);
	FIELD(kvm_regs, r13);
	FIELD(kvm_regs, r14);
	FIELD(kvm_regs, r15);
	FIELD(kvm_regs, rip);
	FIELD(kvm_regs, rflags);
	STRUCT(kvm_segment);
	FIELD(kvm_segment, base);
	FIELD(kvm_segment, limit);
	FIELD(kvm_segment, selector);
	FIELD(kvm_segment, type);
	FIELD(kvm_segment, present);
	FIELD(kvm_segment, dpl);
	FIELD(kvm_segment, db);
	FIELD(kvm_segment, s);
	FIELD(kvm_segment, l);
	FIELD(kvm_segment, g);
	FIELD(kvm_segment, avl);
	FIELD(kvm_segment, unusable);
	FIELD(kvm_segment, padding);
	STRUCT(kvm_dtable);
	FIELD(kvm_dtable, base);
	FIELD(kvm_dtable, limit);
	FIELD(kvm_dtable, padding);
	STRUCT(kvm_sregs);
	FIELD(kvm_sregs, cs);
	FIELD(kvm_sregs, ds);
	FIELD(kvm_sregs, es);
	FIELD(kvm_sregs, fs);
	FIELD(kvm_sregs, gs);
	FIELD(kvm_sregs, ss);
	FIELD(kvm_sregs, tr);
	FIELD(kvm_sregs, ldt);
	FIELD(kvm_sregs, gdt);
	FIELD(kvm_sregs, idt);
	FIELD(kvm_sregs, cr0);
	FIELD(kvm_sregs, cr2);
	FIELD(kvm_sregs, cr3);
	FIELD(kvm_sregs, cr4);
	FIELD(kvm_sregs, cr8);
	FIELD(kvm_sregs, efer);
	FIELD(kvm_sregs, apic_base);
	FIELD(kvm_sregs, interrupt_bitmap);
}
#elif defined(__aarch64__)
static void print_kvm_of_machine(void)
{
	STRUCT(kvm_vcpu_init);
	FIELD(kvm_vcpu_init, target);
	FIELD(kvm_vcpu_init, features);
	STRUCT(kvm_one_reg);
	FIELD(kvm_one_reg, id);
	FIELD(kvm_one_reg, addr);
	STRUCT(user_pt_regs);
	FIELD(user_pt_regs, regs);
	FIELD(user_pt_regs, sp);
	FIELD(user_pt_regs, pc);
	FIELD(user_pt_regs, pstate);
}
#endif

static void print_kvm_run(void)
{
	STRUCT(kvm_run);
	FIELD(kvm_run, request_interrupt_window);
	FIELD(kvm_run, immediate_exit);
	FIELD(kvm_run, padding1);
	FIELD(kvm_run, exit_reason);
	FIELD(kvm_run, ready_for_interrupt_injection);
	FIELD(kvm_run, if_flag);
	FIELD(kvm_run, flags);
	FIELD(kvm_run, cr8);
	FIELD(kvm_run, apic_base);
}

static void print_filter_and_socket(void)
{
	STRUCT(sock_filter);
	FIELD(sock_filter, code);
	FIELD(sock_filter, jt);
	FIELD(sock_filter, jf);
	FIELD(sock_filter, k);
	STRUCT(sock_fprog);
	FIELD(sock_fprog, len);
	FIELD(sock_fprog, filter);
	STRUCT(iovec);
	FIELD(iovec, iov_base);
	FIELD(iovec, iov_len);
	STRUCT(msghdr);
	FIELD(msghdr, msg_name);
	FIELD(msghdr, msg_namelen);
	FIELD(msghdr, msg_iov);
	FIELD(msghdr, msg_iovlen);
	FIELD(msghdr, msg_control);
	FIELD(msghdr, msg_controllen);
	FIELD(msghdr, msg_flags);
	STRUCT(sockaddr_nl);
	FIELD(sockaddr_nl, nl_family);
	FIELD(sockaddr_nl, nl_pad);
	FIELD(sockaddr_nl, nl_pid);
	FIELD(sockaddr_nl, nl_groups);
}

static void print_poll(void)
{
	STRUCT(pollfd);
	FIELD(pollfd, fd);
	FIELD(pollfd, events);
	FIELD(pollfd, revents);
	STRUCT(epoll_event);
	FIELD(epoll_event, events);
	/* A union, of which the low half of the largest member is used. */
	printf("  %zu 4 data\n", offsetof(struct epoll_event, data));
}

static void print_timers(void)
{
	STRUCT(sigevent);
	FIELD(sigevent, sigev_value);
	FIELD(sigevent, sigev_signo);
	FIELD(sigevent, sigev_notify);
	printf("  %zu 4 sigev_tid\n", offsetof(struct sigevent, _sigev_un._tid));
	STRUCT(timespec);
	FIELD(timespec, tv_sec);
	FIELD(timespec, tv_nsec);
	STRUCT(itimerspec);
	FIELD(itimerspec, it_interval);
	FIELD(itimerspec, it_value);
}

static void print_statx(void)
{
	STRUCT(statx);
	FIELD(statx, stx_mask);
	FIELD(statx, stx_blksize);
	FIELD(statx, stx_attributes);
	FIELD(statx, stx_nlink);
	FIELD(statx, stx_uid);
	FIELD(statx, stx_gid);
	FIELD(statx, stx_mode);
	FIELD(statx, __spare0);
	FIELD(statx, stx_ino);
	FIELD(statx, stx_size);
	FIELD(statx, stx_blocks);
	FIELD(statx, stx_attributes_mask);
	FIELD(statx, stx_atime);
	FIELD(statx, stx_btime);
	FIELD(statx, stx_ctime);
	FIELD(statx, stx_mtime);
	FIELD(statx, stx_rdev_major);
	FIELD(statx, stx_rdev_minor);
	FIELD(statx, stx_dev_major);
	FIELD(statx, stx_dev_minor);
	FIELD(statx, stx_mnt_id);
	FIELD(statx, stx_dio_mem_align);
	FIELD(statx, stx_dio_offset_align);
	FIELD(statx, __spare3);
}

int main(void)
{
	printf("# linux headers %d.%d.%d, FUSE %d.%d\n", LINUX_VERSION_CODE >> 16, (LINUX_VERSION_CODE >> 8) & 0xff,
	       LINUX_VERSION_CODE & 0xff, FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION);
	print_fuse();
	print_perf();
	print_perf_flags();
	print_kvm();
	print_kvm_run();
	print_kvm_of_machine();
	print_seccomp();
	print_filter_and_socket();
	print_poll();
	print_timers();
	print_statx();
	return 0;
}
