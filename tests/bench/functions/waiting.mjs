export const handler = async (event) => {
  await new Promise((go) => setTimeout(go, (event.wait ?? 0) * 1000));
  return event;
};
