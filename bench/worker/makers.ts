/** Makes networks for namespaces that are there already. */
export interface Maker {
  up(namespace: string): Promise<void>;
  down(namespace: string): Promise<void>;
}
