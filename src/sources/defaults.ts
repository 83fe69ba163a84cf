/** How patient a mount is with its guests where nobody says otherwise, in milliseconds. */

/** From one look for guests to the next. */
export const SCAN_INTERVAL_MS = 1000
/** How long a guest may take to answer. */
export const FETCH_TIMEOUT_MS = 2000
