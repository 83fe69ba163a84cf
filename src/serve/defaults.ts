/** How many events may be open at once where nobody says otherwise. */
export const MAX_HANDLES = 65_536
