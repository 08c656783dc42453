/** The tour as HTML: its first heading is the page's own title, so it is left out. */
export function tourPage(markdown: { render: (text: string) => string }, text: string): string {
  return markdown.render(text.replace(/^\s*# [^\n]*\n/, ''))
}
