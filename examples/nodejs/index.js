exports.handler = async (event, context) => {
  const name = event.name ?? 'world';
  console.log('greeting %s, %d ms left', name, context.getRemainingTimeInMillis());
  return { message: `Hello, ${name}!` };
};
