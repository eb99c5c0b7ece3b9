import sax from 'sax';
import { BadDocument } from './parsed.ts';

/** An element of an XML document. */
export interface XmlElement {
  name: string;
  attributes: Readonly<Record<string, string>>;
  /** Its own text, trimmed; '' where it has none. */
  text: string;
  children: XmlElement[];
}

/** Deeper than any document that is read here; so deep is only one that means harm. */
const DEEPEST = 64;

/**
 * The root element. Strict: a document that breaks off is no document. Entities that a document defines itself are not
 * expanded (sax knows XML's own five only), nothing outside the text is read.
 * @throws BadDocument
 */
export function parseXml(text: string): XmlElement {
  const parser = sax.parser(true, { position: true });
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  parser.onopentag = ({ name, attributes }) => {
    if (open.length === DEEPEST) throw new BadDocument('is XML nested too deeply');
    const element: XmlElement = {
      name,
      attributes: attributes as Record<string, string>,
      text: '',
      children: [],
    };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  };
  const append = (more: string): void => {
    const element = open.at(-1);
    if (element) element.text += more;
  };
  parser.ontext = append;
  parser.oncdata = append;
  parser.onclosetag = () => {
    const element = open.pop()!;
    element.text = element.text.trim();
  };
  parser.onerror = (error) => {
    const [what = ''] = error.message.split('\n');
    throw new BadDocument(`is no well-formed XML (line ${parser.line + 1}: ${what})`);
  };
  parser.write(text).close();
  if (!root) throw new BadDocument('is no XML document');
  return root;
}

/** The first child of that name. */
export const child = (element: XmlElement, name: string): XmlElement | undefined =>
  element.children.find((candidate) => candidate.name === name);

/** Every child of that name. */
export const children = (element: XmlElement | undefined, name: string): XmlElement[] =>
  element?.children.filter((candidate) => candidate.name === name) ?? [];

/** Text of the first child of that name; undefined where there is none or it is empty. */
export const textOf = (element: XmlElement | undefined, name: string): string | undefined =>
  (element && child(element, name)?.text) || undefined;
