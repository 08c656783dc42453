/** Scroll no further than needed for a row of a virtual list to be seen whole; `top` and `height` in px. */
export function reveal(box: HTMLElement | null, top: number, height: number): void {
  if (!box) return
  if (top < box.scrollTop) box.scrollTop = top
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight
}
