/** Who asks: the credentials that a request carries. */
export interface Caller {
  /** fsuid, in the user namespace of the mount. */
  readonly uid: number
  /** fsgid, likewise. */
  readonly gid: number
  /** The calling thread's id, in the server's pid namespace; 0 where it has none there. */
  readonly tid: number
}
