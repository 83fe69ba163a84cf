/** Who runs this program, and so who owns its mount. */
export const thisUser = (): { readonly uid: number; readonly gid: number } => ({
  uid: process.geteuid?.() ?? 0,
  gid: process.getegid?.() ?? 0,
})
