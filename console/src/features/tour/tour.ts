/** The tour as HTML: its first heading is the page's own title, so it is left out. Its addresses get the `port` in use. */
export function tourPage(markdown: { render: (text: string) => string }, text: string, port = ''): string {
  const here = port ? text.replace(/(https?:\/\/(?:127\.0\.0\.1|localhost)):8800\b/g, `$1:${port}`) : text
  return markdown.render(here.replace(/^\s*# [^\n]*\n/, ''))
}
