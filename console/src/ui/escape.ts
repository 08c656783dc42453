// A select that has the focus swallows Escape even while its list is closed, and so the dialog around it would not close.

/** Let Escape in a closed select reach its dialog. */
export function installEscape(): void {
  document.addEventListener(
    'keydown',
    (event) => {
      const { target } = event
      if (event.key !== 'Escape' || event.isComposing || !(target instanceof HTMLElement)) return
      if (!target.closest('.el-select') || target.getAttribute('aria-expanded') === 'true') return
      const dialog = target.closest('.el-dialog')
      if (!dialog) return
      event.preventDefault()
      event.stopImmediatePropagation()
      dialog.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', code: 'Escape', bubbles: true, cancelable: true }))
    },
    { capture: true },
  )
}
