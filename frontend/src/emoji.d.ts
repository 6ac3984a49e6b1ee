// Made by vite.config.ts.
declare module "virtual:emoji" {
  const data: {
    emojis: [emoji: string, label: string, tags: string, group: number][];
    categories: [index: number, label: string][];
  };
  export default data;
}
