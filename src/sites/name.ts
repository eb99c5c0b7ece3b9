/**
 * A site's name as ads and user maps can carry it: the `Name` of a path is `<src>><dst>` and a map's line is
 * `* KEY VALUE`, split at white space and commas, so only letters, digits and `. _ + -` stay. Accents are taken
 * off (é → e); every other run becomes one `_`. Case is kept: `UCSD` and `ucsd` are told apart as in sites.yaml.
 * @returns the name, or '' when nothing of the text can stay
 */
export function siteName(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._+-]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
