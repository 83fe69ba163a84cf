/** Numbers of signals: the same on x86_64 and aarch64. Counterpart: include/uapi/asm-generic/signal.h, signal(7). */
export const SIGKILL = 9
export const SIGPIPE = 13
export const SIGALRM = 14
export const SIGCHLD = 17
export const SIGCONT = 18
export const SIGSTOP = 19
export const SIGTSTP = 20
export const SIGTTIN = 21
export const SIGTTOU = 22
export const SIGURG = 23
export const SIGVTALRM = 26
export const SIGPROF = 27
export const SIGWINCH = 28
