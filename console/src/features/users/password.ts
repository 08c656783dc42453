/** First passwords: easy to read out and type, from the browser's own random source. */

// Without 0 O 1 l I, which are mistaken for each other when written down.
const LETTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'
const GROUPS = 4
const GROUP = 5

export type Fill = (bytes: Uint8Array) => Uint8Array

const browser: Fill = (bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)

/** Four groups of five letters: 116 bits. Bytes beyond the last whole multiple are thrown away, so none is likelier. */
export function newPassword(fill: Fill = browser): string {
  const whole = 256 - (256 % LETTERS.length)
  let letters = ''
  while (letters.length < GROUPS * GROUP) {
    for (const byte of fill(new Uint8Array(32))) {
      if (byte < whole && letters.length < GROUPS * GROUP) letters += LETTERS[byte % LETTERS.length] ?? ''
    }
  }
  return (letters.match(new RegExp(`.{${String(GROUP)}}`, 'g')) ?? []).join('-')
}

export const USERNAME = /^[a-z0-9][a-z0-9._-]{1,63}$/
export const SHORTEST = 12
